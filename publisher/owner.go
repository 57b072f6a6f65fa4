package publisher

import (
	"context"
	"log/slog"
	"time"

	"github.com/spancast/spancast/message"
)

// An owner is what the goroutine that owns the socket keeps.
type owner struct {
	*Publisher
	counters  *counters
	schemas   *announcements
	lost      []lostRecord // gaps that are still announced
	asked     tally
	epoch     []byte
	directory string // of the last hello
	fleet     succession

	topic   []byte // of the latest message, if its route has one
	header  []byte // of the latest message
	numbers []uint64
	looked  time.Time // when subscriptions were read last
}

const (
	// lookEvery is how often subscriptions are read when there is nothing to
	// send, and the least time between two readings when there is.
	lookEvery = 10 * time.Millisecond
	// repeatEvery is how often everything is said again for those who missed it.
	repeatEvery = 10 * time.Second
	// checkEvery is the number of messages after which a batch asks again
	// whether it may still be published.
	checkEvery = 16
)

// loop deals with whatever comes, until ctx is done.
func (o *owner) loop(ctx context.Context) error {
	look, resolved, repeat := time.NewTicker(lookEvery), time.NewTicker(o.opt.ResolvedInterval), time.NewTicker(repeatEvery)
	defer look.Stop()
	defer resolved.Stop()
	defer repeat.Stop()
	for {
		in := o.queue
		if o.opt.RequireSubscriber && o.stats.Subscriptions.Load() == 0 {
			in = nil
		}
		var err error
		select {
		case b := <-in:
			err = o.publish(b)
		case <-look.C:
			err = o.look(time.Now())
		case now := <-resolved.C:
			o.survey(now)
			err = o.resolveMoved()
		case <-repeat.C:
			err = o.repeat()
		case g := <-o.gaps:
			err = o.gap(g)
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// publish sends the messages of a batch, unless its partition is not this
// replica's any more, and reports how far the partition is published.
func (o *owner) publish(b *batch) error {
	defer o.recycle(b)
	if b.mark.Progress == nil {
		return nil // of Drained
	}
	o.announce(b)
	for i := range b.entries {
		if i%checkEvery == 0 && !b.mark.Progress.Alive() {
			return o.fence(b)
		}
		if err := o.message(b, &b.entries[i]); err == errNotOurs {
			return o.fence(b)
		} else if err != nil {
			return err
		}
	}
	o.stats.Messages.Add(uint64(len(b.entries)))
	o.stats.Slow.Store(o.socket.dropped)
	if o.opt.Observe != nil && len(b.entries) > 0 {
		o.opt.Observe(len(b.entries), b.mark.Position)
	}
	if !b.mark.Progress.Alive() {
		return o.fence(b)
	}
	if b.mark.End {
		o.lineage.ended(b.partition) // before its children can begin
	}
	b.mark.Progress.Published(b.mark)
	if now := time.Now(); now.Sub(o.looked) >= lookEvery {
		return o.look(now)
	}
	return nil
}

// announce says in the log which messages come next, by the counter of the root,
// and by which right: who published what as whose owner can be told from it.
func (o *owner) announce(b *batch) {
	if len(b.entries) == 0 || !o.opt.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	o.opt.Log.Debug("publishing", "partition", b.owned.partition, "epoch", b.owned.epoch, "first", o.counters.level("").count+1, "messages", len(b.entries))
}

// fence throws a batch away: whoever owns the partition now publishes it.
func (o *owner) fence(b *batch) error {
	o.stats.Fenced.Add(1)
	o.opt.Log.Warn("a lease ran out before a batch was published; the partition's next owner publishes it",
		"partition", b.owned.partition, "epoch", b.owned.epoch, "messages", len(b.entries))
	return nil
}

// message sends one change.
func (o *owner) message(b *batch, e *entry) error {
	part := &b.records[e.record]
	if o.schemas.isNew(e.route.SchemaLevel, part.schema) {
		if err := o.control(e.route.SchemaLevel, message.Schema, part.schema); err != nil {
			return err
		}
	}
	path := o.counters.of(e.route)
	topic, header, body := o.assemble(b, e, path)
	o.stats.Bytes.Add(uint64(len(topic) + len(header) + len(body)))
	err := o.socket.send(topic, header, body, b.mark.Progress.Alive)
	if err == errNotOurs {
		o.counters.uncount(path)
	}
	return err
}

// assemble counts a message and returns its frames, valid until the next.
func (o *owner) assemble(b *batch, e *entry, path []*level) (topic, header, body []byte) {
	part := &b.records[e.record]
	topic = b.at(e.topic)
	if len(topic) == 0 {
		static, _ := e.route.Static()
		o.topic = append(o.topic[:0], static...)
		topic = o.topic
	}
	o.numbers = o.counters.count(o.numbers[:0], path)
	o.header = message.AppendHeader(o.header[:0], b.at(e.version), o.epoch, o.numbers, b.at(part.attributes))
	return topic, o.header, b.at(e.body)
}
