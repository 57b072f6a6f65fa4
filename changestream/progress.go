package changestream

import (
	"sync"
	"sync/atomic"
	"time"
)

// Progress is a partition's way through the pipe. Its reader, whoever publishes
// what it read, and the scheduler share it; no lock is taken per record.
type Progress struct {
	base     time.Time    // anchor of the monotonic clock
	position atomic.Int64 // published before this, Unix nanoseconds
	deadline atomic.Int64 // nanoseconds from base until which the lease is sure
	ended    chan struct{}
	once     sync.Once
	left     func(Mark) // told of marks that name partitions in Out; may be nil
}

// NewProgress begins at the position that was stored.
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
	// End says that there are no more: the partition was read to its end.
	End bool
	// Out names partitions that keys moved to at Position: whatever those have
	// to wait for has gone ahead of the mark.
	Out []PartitionToken
}

// Alive tells whether the partition may still be published: a replica that was
// paused past its lease must not. It is for the publisher to ask before each
// batch, on the clock of this process alone.
func (p *Progress) Alive() bool {
	return int64(time.Since(p.base)) < p.deadline.Load()
}

// Published is called in order, once what went ahead of the mark was handed to
// the sockets.
func (p *Progress) Published(m Mark) {
	p.position.Store(m.Position.UnixNano())
	if len(m.Out) > 0 && p.left != nil {
		p.left(m)
	}
	if m.End {
		p.once.Do(func() { close(p.ended) })
	}
}

// Position is up to where (exclusive) the partition was published.
func (p *Progress) Position() time.Time { return time.Unix(0, p.position.Load()).UTC() }

// Lease makes the partition publishable until t; the zero time forbids it.
func (p *Progress) Lease(t time.Time) {
	if t.IsZero() {
		p.deadline.Store(0)
		return
	}
	p.deadline.Store(int64(t.Sub(p.base)))
}
