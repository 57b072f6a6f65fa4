package recovery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
)

// A load is messages of one partition, in the order in which they came, until
// the last of them was sent.
type load struct {
	publisher.Messages
	left int // that were not sent yet
}

// An item is one message of an answer: a change, or a control message.
type item struct {
	load  *load
	index int
	*control
}

type control struct {
	topic string
	at    time.Time // of its version
	body  any
	last  bool // whether it ends the answer
}

// A feed stands between the worker of an answer, whose sinks push loads, and the
// owner of the socket, who takes items.
//
// When it sorts, items come out in the order of their versions: a change is
// ready when every partition is past its commit timestamp. Partitions that are
// ahead wait when the feed is full; the one that all others wait for never
// waits unless something is ready to be sent. So a feed holds no more than was
// allowed, one load, and what has a single commit timestamp.
type feed struct {
	max   int64
	wake  func()        // tells the owner that something is ready
	total *atomic.Int64 // bytes held by all feeds

	mu       sync.Mutex
	resolved func() time.Time // up to where all partitions were pushed; nil before they are read
	sorting  bool
	ahead    merge
	ready    []item
	unsent   int   // items that are ready or with the owner
	held     int64 // bytes of loads
	changed  chan struct{}
	closed   bool
	spare    []*load
}

func newFeed(limit int64, wake func(), total *atomic.Int64) *feed {
	return &feed{max: limit, wake: wake, total: total, changed: make(chan struct{})}
}

var errClosed = errors.New("the answer has ended")

// pass begins to take loads of another reading of the stream.
func (f *feed) pass(sorting bool, resolved func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sorting, f.resolved = sorting, resolved
}

// push takes a load, nil if there is nothing but the mark behind it. It waits
// for room.
func (f *feed) push(ctx context.Context, q *queue, l *load, m changestream.Mark) error {
	f.mu.Lock()
	for !f.closed && l != nil && !f.room(m.Progress) {
		changed := f.changed
		f.mu.Unlock()
		again := time.NewTimer(20 * time.Millisecond) // partitions may have begun or ended, of which nobody tells
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again.C:
		}
		again.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f.mu.Lock()
		f.advance()
	}
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	if l != nil {
		l.left = l.Len()
		f.hold(int64(l.Size()))
		if f.sorting {
			f.ahead.push(q, l)
		} else {
			for i := range l.Len() {
				f.put(item{load: l, index: i})
			}
		}
	}
	m.Progress.Published(m)
	f.advance()
	f.tell()
	return nil
}

// hold accounts for bytes that are held, or not any more.
func (f *feed) hold(n int64) {
	f.held += n
	f.total.Add(n)
}

// room tells whether a partition may push.
func (f *feed) room(p *changestream.Progress) bool {
	return f.held < f.max || f.unsent == 0 && !p.Position().After(f.resolved())
}

// advance makes ready what no partition will come before any more.
func (f *feed) advance() {
	if f.sorting && f.resolved != nil {
		f.ahead.take(f.resolved(), f.put)
	}
}

// flush makes everything ready: the partitions have come to their end.
func (f *feed) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead.take(endOfTime, f.put)
	f.tell()
}

var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (f *feed) put(i item) {
	f.ready = append(f.ready, i)
	f.unsent++
}

// signal tells the sinks that something has changed.
func (f *feed) signal() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// tell tells everybody.
func (f *feed) tell() {
	f.signal()
	if len(f.ready) > 0 {
		f.wake()
	}
}

// say puts a control message behind what is ready.
func (f *feed) say(topic string, body any) {
	f.control(&control{topic: topic, at: time.Now(), body: body})
}

func (f *feed) control(c *control) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.put(item{control: c})
	f.tell()
}

// progress says up to when everything is among the items, and returns that. Of
// two such messages without a change between them the first is left out.
func (f *feed) progress() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.resolved == nil {
		return time.Time{}
	}
	at := f.resolved()
	if at.IsZero() {
		return at
	}
	if f.sorting {
		f.ahead.take(at, f.put)
	}
	c := &control{topic: message.Replay, at: time.Now(), body: message.ReplayBody{Resolved: message.FormatTime(at)}}
	if n := len(f.ready); n > 0 && f.ready[n-1].control != nil && f.ready[n-1].topic == message.Replay {
		f.ready[n-1].control = c
	} else {
		f.put(item{control: c})
	}
	f.tell()
	return at
}

// tick makes ready what can be.
func (f *feed) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.unsent; !f.closed {
		if f.advance(); f.unsent > n {
			f.tell()
		}
	}
}

// take appends items that are ready to dst, at most n.
func (f *feed) take(dst []item, n int) []item {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(n, len(f.ready))
	dst = append(dst, f.ready[:n]...)
	clear(f.ready[:n])
	if f.ready = f.ready[n:]; len(f.ready) == 0 {
		f.ready = nil
	}
	return dst
}

// sent says that items were sent, or will not be.
func (f *feed) sent(items []item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.unsent -= len(items)
	for _, i := range items {
		f.release(i)
	}
	f.signal() // there may be room
}

const maxSpare = 16

func (f *feed) release(i item) {
	if i.load == nil {
		return
	}
	if i.load.left--; i.load.left > 0 {
		return
	}
	f.hold(-int64(i.load.Size()))
	if i.load.Reset(); len(f.spare) < maxSpare && !f.closed {
		f.spare = append(f.spare, i.load)
	}
}

// load returns an empty one.
func (f *feed) load() *load {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.spare); n > 0 {
		l := f.spare[n-1]
		f.spare = f.spare[:n-1]
		return l
	}
	return new(load)
}

// close drops everything. Sinks that push get an error.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold(-f.held)
	f.closed, f.ready, f.ahead, f.spare, f.unsent = true, nil, merge{}, nil, 0
	f.tell()
}
