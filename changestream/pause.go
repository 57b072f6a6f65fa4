package changestream

import (
	"context"
	"sync"
	"time"
)

// A pause is a reader that waits at a partition record of a MUTABLE_KEY_RANGE
// stream: until the partitions that it announces are stored, or until others
// were published up to the time at which they gave keys away.
//
// All of it is decided in the scheduler's goroutine, which also samples the
// positions that are saved. So what is saved of a partition that went on is
// never further than what is saved of those that it waited for.
type pause struct {
	task   *task
	kind   Kind
	record PartitionRecord
	passed chan struct{} // closed when the reader may go on
	since  time.Time
	warned bool
}

// pause asks the scheduler, in the reader's goroutine, and waits.
func (c *scheduler) pause(ctx context.Context, t *task, kind Kind, rec PartitionRecord) error {
	p := &pause{task: t, kind: kind, record: rec, passed: make(chan struct{}), since: time.Now()}
	select {
	case c.pauses <- p:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-p.passed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// paused acts on what a reader has come to.
func (c *scheduler) paused(readers context.Context, p *pause) error {
	t := p.task
	if c.tasks[t.token] != t {
		return nil // was lost meanwhile
	}
	t.pause = p
	if p.kind == KindPartitionStart {
		c.graph.Announced(t.token, p.record.Timestamp, p.record.Tokens)
		c.stand() // before anything behind the record can be published
		if !c.graph.Stored(p.record.Tokens) {
			return c.tolerate("save the start of a partition", c.commit(readers))
		}
	}
	if c.pass(); t.pause == p {
		c.stats.MoveIns.Add(1)
		c.opt.Log.Debug("waiting for the partitions that keys move in from", "partition", t.token.Short(), "at", p.record.Timestamp)
	}
	return nil
}

// patienceForMoves is how long a partition waits before that is worth a warning.
const patienceForMoves = time.Minute

// pass lets those readers go on whose time has come.
func (c *scheduler) pass() {
	for _, d := range c.left.take() {
		c.graph.MovedOut(d)
	}
	var waiting []*pause
	for _, t := range c.tasks {
		if t.pause != nil {
			waiting = append(waiting, t.pause)
		}
	}
	if len(waiting) == 0 {
		return
	}
	for _, t := range c.tasks {
		c.graph.Advance(t.token, t.progress.Position())
	}
	now := c.clock.now()
	for _, p := range waiting {
		token, rec := p.task.token, &p.record
		switch {
		case p.kind == KindPartitionStart && c.graph.Stored(rec.Tokens),
			p.kind == KindPartitionEvent && c.graph.MayPass(token, rec.Timestamp, rec.Sources, now):
			p.task.pause = nil
			close(p.passed)
		case time.Since(p.since) > patienceForMoves && !p.warned:
			p.warned = true
			c.opt.Log.Warn("a partition has waited long for others that are behind", "partition", token.Short(), "at", rec.Timestamp, "sources", len(rec.Sources))
		}
	}
}

// departed is what a partition gave to others at the time at which it waits
// itself, once it was published for so long that it cannot be lost any more. Its
// position cannot tell: it passes that time only when the wait is over, and those
// others may be what it waits for.
func (c *scheduler) departed(t *task) departure {
	if t.pause == nil || t.pause.kind != KindPartitionEvent {
		return departure{}
	}
	at := t.pause.record.Timestamp
	return departure{from: t.token, at: at, to: c.graph.Departed(t.token, at, time.Now().Add(-c.opt.CheckpointLag))}
}

// departures brings what the publisher has passed to the scheduler.
type departures struct {
	mu   sync.Mutex
	list []departure
	news chan struct{}
}

func newDepartures() *departures { return &departures{news: make(chan struct{}, 1)} }

// note is called by the publisher.
func (d *departures) note(from PartitionToken, m Mark) {
	d.mu.Lock()
	d.list = append(d.list, departure{from: from, at: m.Position, to: m.Out, published: time.Now()})
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
	}
}

func (d *departures) take() []departure {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.list
	d.list = nil
	return list
}
