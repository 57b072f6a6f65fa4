package publisher

import (
	"context"
	"log/slog"
	"time"
)

// An owner is what the goroutine that owns the sockets keeps.
type owner struct {
	*Publisher
	lost   []lostRecord // gaps that are still announced
	asked  tally
	seen   *coverage // that the outlets follow
	sent   uint64    // bytes that are not in the statistics yet
	looked time.Time // when subscriptions were read last
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
		var err error
		select {
		case <-o.more:
		case <-look.C:
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
		o.send()
	}
}

func (o *owner) inTurn(do func() error) error {
	o.turn.Lock()
	defer o.turn.Unlock()
	return do()
}

// waits tells whether there are batches that may be published.
func (p *Publisher) waits() bool {
	return len(p.queue) > 0 && !(p.opt.RequireSubscriber && p.stats.Subscriptions.Load() == 0)
}

// send publishes what waits, unless somebody is at it: he will see it.
func (p *Publisher) send() {
	for p.waits() && p.turn.TryLock() {
		more, err := false, error(nil)
		if p.owner != nil {
			more, err = p.owner.drain()
		}
		over := p.owner == nil || err != nil
		p.turn.Unlock()
		if err != nil {
			select {
			case p.failed <- err:
			default:
			}
		}
		if over {
			return
		}
		if more {
			select {
			case p.more <- struct{}{}:
			default:
			}
			return
		}
	}
}

// drainTime is how long batches are sent one after the other without a look at
// what else there is to do. Looking costs as much as some messages.
const drainTime = time.Millisecond

// drain publishes what waits.
func (o *owner) drain() (more bool, err error) {
	for began := time.Now(); o.waits(); {
		select {
		case b := <-o.queue:
			if err := o.publish(b); err != nil {
				return false, err
			}
		default:
			return false, nil
		}
		if time.Since(began) > drainTime {
			return true, nil
		}
	}
	return false, nil
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
	if now.Sub(o.looked) >= lookEvery {
		return o.look(now)
	}
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

// message sends one change to every audience that sees it.
func (o *owner) message(b *batch, e *entry) error {
	if now := o.coverage.Load(); now != o.seen {
		o.seen = now
		for i, out := range o.outlets {
			out.show(now.audiences[i])
		}
	}
	for _, out := range o.outlets {
		n, err := out.message(b, e)
		if err != nil {
			return err
		}
		o.sent += uint64(n)
	}
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
