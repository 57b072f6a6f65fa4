package changestream

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Progress is a partition's way through the pipe. Its reader, whoever publishes
// what it read, and the scheduler share it; no lock is taken per record.
//
// A lease that is seen to have run out ends the progress for ever: a batch may
// have been thrown away for it, and what comes behind a hole must not be
// published. Whoever holds the partition after that begins a new progress, at
// the position that this one had reached.
type Progress struct {
	base     time.Time    // anchor of the monotonic clock
	position atomic.Int64 // published before this, Unix nanoseconds
	changed  atomic.Int64 // the same behind the last change, without the heartbeats after it
	deadline atomic.Int64 // nanoseconds from base until which the lease is sure, or over
	wall     atomic.Int64 // the same deadline on the wall clock, Unix nanoseconds
	ended    chan struct{}
	once     sync.Once
	left     func(Mark) // told of marks that name partitions in Out; may be nil
}

// over is the deadline of a progress that has ended.
const over = math.MinInt64

// NewProgress begins at the position that was stored. It is not alive before
// its first Lease, and must not be asked.
func NewProgress(position time.Time) *Progress {
	p := &Progress{base: time.Now(), ended: make(chan struct{})}
	p.position.Store(position.UnixNano())
	return p
}

// A Mark goes down the pipe behind the records that it speaks of.
type Mark struct {
	Progress *Progress
	// Position says that all records before it have gone ahead of the mark.
	Position time.Time
	// Records is the number of data records since the last mark.
	Records int
	// End says that there are no more: the partition was read to its end.
	End bool
	// Out names partitions that keys moved to at Position: whatever those have
	// to wait for has gone ahead of the mark.
	Out []PartitionToken
}

// Alive tells whether the partition may still be published: a replica that was
// paused past its lease must not. It is for the publisher to ask before each
// message, on the clocks of this process alone. Once it says no, it always will.
//
// The monotonic clock does not count the time that the machine was suspended;
// the wall clock does, but may be set. The lease is over when either says so.
func (p *Progress) Alive() bool {
	for {
		deadline := p.deadline.Load()
		if deadline == over {
			return false
		}
		now := time.Now()
		if int64(now.Sub(p.base)) < deadline && now.UnixNano() < p.wall.Load() {
			return true
		}
		if p.deadline.CompareAndSwap(deadline, over) {
			return false
		}
	}
}

// Over tells whether the progress has ended.
func (p *Progress) Over() bool { return p.deadline.Load() == over }

// Published is called in order, once what went ahead of the mark was handed to
// the sockets.
func (p *Progress) Published(m Mark) {
	p.position.Store(m.Position.UnixNano())
	if m.Records > 0 {
		p.changed.Store(m.Position.UnixNano())
	}
	if len(m.Out) > 0 && p.left != nil {
		p.left(m)
	}
	if m.End {
		p.once.Do(func() { close(p.ended) })
	}
}

// Position is up to where (exclusive) the partition was published.
func (p *Progress) Position() time.Time { return time.Unix(0, p.position.Load()).UTC() }

// changedSince tells whether changes were published since a position.
func (p *Progress) changedSince(position time.Time) bool {
	return p.changed.Load() > position.UnixNano()
}

// Lease makes the partition publishable until t, which must be a local time, if
// it has not been seen to have run out before.
func (p *Progress) Lease(t time.Time) {
	p.wall.Store(t.UnixNano())
	for {
		deadline := p.deadline.Load()
		if deadline == over || p.deadline.CompareAndSwap(deadline, int64(t.Sub(p.base))) {
			return
		}
	}
}

// Stop forbids publishing for ever.
func (p *Progress) Stop() { p.deadline.Store(over) }
