package publisher

import (
	"context"
	"errors"
	"time"

	"github.com/spancast/spancast/internal/zsock"
)

// drainTime is how long batches are sent one after the other without a look at
// what else there is to do, or to read. Looking costs as much as some messages.
const drainTime = time.Millisecond

// errLeft is that a message may have to wait for somebody, and whoever sends may
// not: the loop goes on with it.
var errLeft = errors.New("left to the loop")

// A rest is a batch of which some was sent.
type rest struct {
	batch  *batch
	entry  int // the next
	outlet int // the next of this entry
}

// inTurn uses the sockets when nobody else does.
func (p *Publisher) inTurn(do func() error) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	return do()
}

// listen calls the loop when a socket has something to read, but not all the time.
func (p *Publisher) listen(ctx context.Context, bell *zsock.Bell) {
	for bell.Wait() == nil {
		select {
		case p.rung <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return
		}
	}
}

// waits tells whether there are batches that may be published.
func (p *Publisher) waits() bool {
	return len(p.queue) > 0 && !(p.opt.RequireSubscriber && p.stats.Subscriptions.Load() == 0)
}

// send publishes what waits, in the goroutine of the reader that has put it there:
// one that hands its frames to another goroutine waits for a wake-up, and has
// warmed the wrong processor's caches. One at a time is at it. Who finds another
// at it leaves: that one looks again when it has given up its turn. The loop gets
// what is left after drainTime, and what may take time because of a slow subscriber.
func (p *Publisher) send() {
	for p.waits() && p.turn.TryLock() {
		o := p.owner // nil before the loop, after an error, and in the end
		more := o != nil && (o.rest.batch != nil || o.drain(false))
		p.turn.Unlock()
		if o == nil {
			return
		}
		if more {
			p.call()
			return
		}
	}
}

// call has the loop go on with what is left.
func (p *Publisher) call() {
	select {
	case p.more <- struct{}{}:
	default: // the loop has not answered the last call yet
	}
}

// drain publishes what waits, for as long as drainTime, and tells whether there
// is more. Who is patient waits for slow subscribers. After an error that the loop
// is told of nothing is sent any more, by the loop neither.
func (o *owner) drain(patient bool) (more bool) {
	if o.Publisher.owner == nil {
		return false
	}
	for began := time.Now(); o.rest.batch != nil || o.waits(); {
		if o.rest.batch == nil {
			o.rest = rest{batch: <-o.queue} // from which nobody else takes
		}
		switch err := o.publish(&o.rest, patient); {
		case err == errLeft:
			return true
		case err != nil:
			o.failed <- err
			o.Publisher.owner = nil
			return false
		}
		o.recycle(o.rest.batch)
		o.rest = rest{}
		if time.Since(began) > drainTime {
			return true
		}
	}
	return false
}
