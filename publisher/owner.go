package publisher

import (
	"context"
	"log/slog"
	"time"
)

// An owner is what whoever uses the sockets needs, in turn: the loop, and readers
// that have something to send.
type owner struct {
	*Publisher
	rest  rest
	lost  []lostRecord // gaps that are still announced
	asked tally
	seen  *coverage // that the outlets follow
	sent  uint64    // bytes that are not in the statistics yet
}

const (
	// lookEvery is the least time between two readings of subscriptions, and
	// tendEvery how often sockets are tended when there is nothing to read.
	lookEvery = 10 * time.Millisecond
	tendEvery = 100 * time.Millisecond
	// repeatEvery is how often everything is said again for those who missed it.
	repeatEvery = 10 * time.Second
	// checkEvery is the number of messages after which a batch asks again
	// whether it may still be published.
	checkEvery = 16
)

// loop deals with whatever comes, until ctx is done. Batches that nobody else has
// sent are sent after each look at the rest.
func (o *owner) loop(ctx context.Context) error {
	tend, resolved, repeat := time.NewTicker(tendEvery), time.NewTicker(o.opt.ResolvedInterval), time.NewTicker(repeatEvery)
	defer tend.Stop()
	defer resolved.Stop()
	defer repeat.Stop()
	for {
		var err error
		select {
		case <-o.more:
		case <-o.rung:
			err = o.inTurn(func() error { return o.look(time.Now()) })
		case <-tend.C:
			err = o.inTurn(func() error { return o.look(time.Now()) })
		case now := <-resolved.C:
			err = o.inTurn(func() error {
				o.survey(now)
				return o.resolveMoved()
			})
		case <-repeat.C:
			err = o.inTurn(o.repeat)
		case g := <-o.gaps:
			err = o.inTurn(func() error { return o.gap(g) })
		case err = <-o.failed:
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
		o.goOn()
	}
}

// goOn sends what waits, and calls the loop again when there is more.
func (o *owner) goOn() {
	o.turn.Lock()
	more := o.drain(true)
	o.turn.Unlock()
	if more {
		o.call()
	}
	o.send() // what came during that turn, from readers who left it to this one
}

// publish sends the messages of a batch, or the rest of them, unless its partition
// is not this replica's any more, and reports how far the partition is published.
// Who is not patient leaves a rest.
func (o *owner) publish(r *rest, patient bool) error {
	b, first := r.batch, r.entry
	if b.mark.Progress == nil {
		return nil // of Drained
	}
	if first == 0 && r.outlet == 0 {
		o.announce(b)
	}
	for ; r.entry < len(b.entries); r.entry++ {
		if (r.entry%checkEvery == 0 || r.entry == first) && !b.mark.Progress.Alive() {
			return o.fence(b)
		}
		if err := o.message(r, patient); err == errNotOurs {
			return o.fence(b)
		} else if err != nil {
			return err
		}
	}
	o.stats.Messages.Add(uint64(len(b.entries)))
	o.stats.Bytes.Add(o.sent)
	o.sent = 0
	o.countSlow()
	now := time.Now()
	if o.opt.Observe != nil && len(b.entries) > 0 {
		o.opt.Observe(now, len(b.entries), b.mark.Position, b.trace)
	}
	if !b.mark.Progress.Alive() {
		return o.fence(b)
	}
	if b.mark.End {
		o.lineage.ended(b.partition) // before its children can begin
	}
	if len(b.mark.Out) > 0 {
		o.lineage.left(b.partition, b.mark.Position) // before those can go on
	}
	b.mark.Progress.Published(b.mark)
	return nil
}

// announce says in the log which messages come next, by the counter of the root
// (of the first audience), and by which right: who published what as whose owner can be told from it.
func (o *owner) announce(b *batch) {
	if len(b.entries) == 0 || !o.opt.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	o.opt.Log.Debug("publishing", "partition", b.owned.partition, "epoch", b.owned.epoch, "first", o.outlets[0].counters.level("").count+1, "messages", len(b.entries))
}

// fence throws a batch away: whoever owns the partition now publishes it.
func (o *owner) fence(b *batch) error {
	o.stats.Fenced.Add(1)
	o.opt.Log.Warn("a lease ran out before a batch was published; the partition's next owner publishes it",
		"partition", b.owned.partition, "epoch", b.owned.epoch, "messages", len(b.entries))
	return nil
}

// message sends one change to every audience that sees it, and has not had it.
func (o *owner) message(r *rest, patient bool) error {
	if now := o.coverage.Load(); now != o.seen {
		o.seen = now
		for i, out := range o.outlets {
			out.show(now.audiences[i])
		}
	}
	for ; r.outlet < len(o.outlets); r.outlet++ {
		n, err := o.outlets[r.outlet].message(r.batch, &r.batch.entries[r.entry], patient)
		if err != nil {
			return err
		}
		o.sent += uint64(n)
	}
	r.outlet = 0
	return nil
}

// countSlow adds up what the sockets have counted.
func (o *owner) countSlow() {
	slow, cut, queued := uint64(0), uint64(0), int64(0)
	for _, out := range o.outlets {
		slow += out.socket.dropped
		cut += out.socket.ballast.peers.ended
		queued += out.socket.ballast.waiting()
	}
	o.stats.Slow.Store(slow)
	o.stats.Cut.Store(cut)
	o.stats.Queued.Store(queued)
}
