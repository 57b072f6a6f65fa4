package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// A Publisher sends changes to subscribers.
type Publisher struct {
	opt Options
	*sockets

	covering sync.Mutex // held while coverage is replaced
	coverage atomic.Pointer[coverage]

	turn   sync.Mutex // held by whoever uses the sockets
	owner  *owner     // nil before and after Run
	more   chan struct{}
	rung   chan struct{} // a socket has something to read
	failed chan error

	queue   chan *batch
	room    *semaphore.Weighted // bytes of MaxBuffer that are free
	batches sync.Pool
	gaps    chan changestream.Gap
	ended   chan struct{} // closed when Run returns

	lineage  lineage
	stats    Stats
	surveyed atomic.Pointer[Survey]
}

// Stats count what a publisher does.
type Stats struct {
	Messages      atomic.Uint64 // changes handed to the socket
	Bytes         atomic.Uint64 // of their three frames
	Fenced        atomic.Uint64 // batches thrown away because the lease had run out
	Slow          atomic.Uint64 // times that a subscriber was too slow and lost messages
	Subscriptions atomic.Int64  // that are active
	Buffered      atomic.Int64  // bytes of batches that wait
	Queued        atomic.Int64  // bytes of large bodies that waited in ZeroMQ's queues when it was looked last
	Cut           atomic.Uint64 // connections ended because of them
}

// queueLength is the number of batches that may wait; their bytes are bounded as
// well. It is work for about a millisecond: what waits longer waits better in
// Spanner, since here it would leave the processor's caches, and memory that is
// passed around for longer becomes the garbage collector's.
const queueLength = 64

// New opens the socket, binds and connects it. Run must follow.
func New(o Options) (*Publisher, error) {
	var topics [][]string
	for _, a := range o.audiences() {
		if len(a.Bind)+len(a.Connect) == 0 {
			return nil, errors.New("no endpoint to bind or connect")
		}
		topics = append(topics, a.Topics)
	}
	s, err := open(&o)
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		opt: o, sockets: s, queue: make(chan *batch, queueLength), room: semaphore.NewWeighted(o.MaxBuffer),
		gaps: make(chan changestream.Gap, 64), ended: make(chan struct{}), more: make(chan struct{}, 1), rung: make(chan struct{}), failed: make(chan error, 1),
	}
	p.coverage.Store(newCoverage(topics))
	p.batches.New = func() any { return new(batch) }
	return p, nil
}

// Endpoints are those that are bound, with the ports that were chosen for 0 and
// *, of all audiences.
func (p *Publisher) Endpoints() []string {
	var out []string
	for _, o := range p.outlets {
		out = append(out, o.listener.Endpoints()...)
	}
	return out
}

// Bound are the endpoints of an audience, with their server keys.
func (p *Publisher) Bound(audience string) []access.Bound {
	for _, o := range p.outlets {
		if o.audience.Name == audience {
			return o.listener.Bound()
		}
	}
	return nil
}

// Stats are the publisher's counters, live.
func (p *Publisher) Stats() *Stats { return &p.stats }

// newBatch returns an empty batch.
func (p *Publisher) newBatch() *batch { return p.batches.Get().(*batch) }

// maxKept is the size of memory, in bytes, that a batch keeps for the next.
const maxKept = 4 << 20

// recycle takes a batch back that was dealt with.
func (p *Publisher) recycle(b *batch) {
	p.stats.Buffered.Add(-b.size)
	p.room.Release(b.size)
	if b.done != nil {
		close(b.done)
	}
	b.reset()
	if cap(b.data) <= maxKept {
		p.batches.Put(b)
	}
}

var errEnded = errors.New("the publisher has ended")

// submit sends a batch, when there is room for it, or leaves it to whoever is
// sending now.
func (p *Publisher) submit(ctx context.Context, b *batch) error {
	if len(b.data) > maxBatch {
		return fmt.Errorf("a result of %d bytes is too large to be published", len(b.data))
	}
	size := min(b.cost(), p.opt.MaxBuffer)
	if !p.room.TryAcquire(size) {
		b.shrink() // it has to wait
		size = min(b.cost(), p.opt.MaxBuffer)
		if err := p.room.Acquire(ctx, size); err != nil {
			return context.Cause(ctx)
		}
	}
	b.size = size
	p.stats.Buffered.Add(size)
	select {
	case p.queue <- b:
		p.send()
		return nil
	case <-ctx.Done():
		p.forget(b)
		return context.Cause(ctx)
	case <-p.ended:
		p.forget(b)
		return errEnded
	}
}

// forget undoes the reservation of a batch that was not taken.
func (p *Publisher) forget(b *batch) {
	p.stats.Buffered.Add(-b.size)
	p.room.Release(b.size)
	b.size = 0
}

// Drained waits until all batches that were submitted before have been handed
// to the socket, or thrown away.
func (p *Publisher) Drained(ctx context.Context) error {
	if p.opt.RequireSubscriber && p.stats.Subscriptions.Load() == 0 && len(p.queue) > 0 {
		return errors.New("nobody is subscribed, and REQUIRE_SUBSCRIBER is set")
	}
	b := p.newBatch()
	done := make(chan struct{})
	b.done = done
	if err := p.submit(ctx, b); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.ended:
		return errEnded
	}
}

// Gap announces that changes cannot be had any more.
func (p *Publisher) Gap(g changestream.Gap) {
	select {
	case p.gaps <- g:
	case <-p.ended:
	}
}

// Run owns the socket until ctx is done, or it fails. In the end it says
// goodbye, and returns when the socket is closed.
func (p *Publisher) Run(ctx context.Context) error {
	defer close(p.ended)
	o := &owner{Publisher: p, seen: p.coverage.Load(), asked: make(tally)}
	p.inTurn(func() error { p.owner = o; return nil })
	listening, stop := context.WithCancel(ctx)
	defer stop()
	var listeners sync.WaitGroup
	defer listeners.Wait()
	for _, out := range p.outlets {
		listeners.Go(func() { p.listen(listening, out.bell) })
	}
	err := o.loop(ctx)
	stop()
	p.turn.Lock()
	defer p.turn.Unlock()
	p.owner = nil
	if err == nil {
		err = o.bye()
	}
	if !p.sockets.close(p.opt.Linger) {
		p.opt.Log.Warn("the PUB socket did not end in time and is left behind; a slow subscriber may miss the last messages", "linger", p.opt.Linger)
	}
	return err
}

// gapBody writes a gap as its message does.
func gapBody(g changestream.Gap) message.GapBody {
	return message.NewGap(g.Partition.Short(), g.From, g.To, string(g.Policy))
}

// now is the time of control messages.
func now() time.Time { return time.Now().UTC() }
