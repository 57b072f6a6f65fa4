package changestream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// oldestMargin is how far behind the oldest time that can be read a
	// partition goes on: that time moves on while one speaks of it.
	oldestMargin = 5 * time.Second
	// troubleWait is how long a partition with trouble that may pass is left
	// alone before it is tried again.
	troubleWait = 10 * time.Second
)

// readerFailed acts on an error that the reader of a partition could not mend
// by trying again. Errors that concern the whole stream are returned.
func (c *scheduler) readerFailed(readers context.Context, r result) error {
	t := r.task
	if readers.Err() != nil {
		return nil
	}
	cause := CauseOf(r.err)
	if cause == ForeignToken && c.forgotten(t) {
		cause = PositionTooOld
	}
	switch cause {
	case PositionTooOld:
		return c.overrun(readers, r)
	case OutsideLife:
		return c.outside(readers, r)
	case ForeignToken:
		c.opt.Log.Error("a partition cannot be read", "partition", t.token.Short(), "error", r.err)
		c.stuck(t, "partition "+t.token.Short()+" is not of this change stream: the partitions table is another stream's, or the database was made anew")
		return nil
	}
	return r.err
}

// forgotten tells whether a token that Spanner does not know may be one that it
// knew: what is older than retention it may have forgotten.
func (c *scheduler) forgotten(t *task) bool {
	return !t.skipped.IsZero() || t.progress.Position().Before(c.clock.now().Add(-c.opt.Info.Retention))
}

// stuck leaves a partition unread, and owned, and says why.
func (c *scheduler) stuck(t *task, why string) {
	t.trouble = why
	c.stand()
}

// overrun applies the gap policy to a partition whose position the stream does
// not keep any more.
func (c *scheduler) overrun(readers context.Context, r result) error {
	t := r.task
	var e *Error
	if !errors.As(r.err, &e) {
		return r.err
	}
	to := e.oldest
	if to.IsZero() {
		to = c.clock.now().Add(-c.opt.Info.Retention)
	}
	to = to.Add(oldestMargin).Truncate(time.Microsecond)
	from := t.progress.Position()
	if !t.skipped.IsZero() && !from.After(t.skipped) {
		return c.reroot(readers, t, to) // not even there: the partition is gone
	}
	skip := c.opt.OnGapPolicy == GapSkip
	var alive []PartitionToken
	if skip && c.opt.Info.MutableKeyRange {
		var ok bool
		if alive, ok = c.aliveAt(readers, t, to); !ok {
			return nil // tried again later
		}
	}
	c.stats.Gaps.Add(1)
	c.opt.Log.Error("changes are lost: the position is older than what the change stream keeps", "partition", t.token.Short(),
		"from", from, "to", to, "policy", c.opt.OnGapPolicy, "error", r.err)
	c.opt.OnGap(Gap{Partition: t.token, From: from, To: to, Policy: c.opt.OnGapPolicy})
	if !skip {
		c.stuck(t, fmt.Sprintf("partition %s stands at %s, the change stream keeps what came after %s", t.token.Short(), from.Format(time.RFC3339), to.Format(time.RFC3339)))
		return nil
	}
	return c.skip(readers, t, to, alive)
}

// skip goes on behind a gap. Partitions of a MUTABLE_KEY_RANGE stream tell of
// new ones as they go: those that began in the gap are among those alive now.
func (c *scheduler) skip(readers context.Context, t *task, to time.Time, alive []PartitionToken) error {
	if c.opt.Info.MutableKeyRange && !slices.Contains(alive, t.token) {
		return c.giveUp(readers, t, to, alive)
	}
	c.graph.Rejoined(t.token, to, alive)
	c.resume(readers, t, to).skipped = to
	return nil
}

// resume reads a partition from another position than the one it had reached,
// as a new task.
func (c *scheduler) resume(readers context.Context, t *task, position time.Time) *task {
	t.cancel()
	p, _ := c.graph.Partition(t.token)
	p.Token, p.Position, p.Epoch, p.Expiry = t.token, position, t.epoch, t.saved.Expiry
	c.start(readers, p, c.sure(p.Expiry))
	fresh := c.tasks[t.token]
	fresh.saved, fresh.skipped = t.saved, t.skipped
	return fresh
}

// outside handles a position at which the partition did not live. If its
// children are on record it has ended; otherwise, at its start, it lives.
func (c *scheduler) outside(readers context.Context, r result) error {
	t := r.task
	if !t.skipped.IsZero() {
		return c.reroot(readers, t, t.progress.Position())
	}
	if end, ok := c.graph.ChildrenStart(t.token); ok && !c.opt.Info.MutableKeyRange {
		t.progress.Published(Mark{Position: end, End: true})
		return c.readerEnded(readers, result{task: t, end: end})
	}
	p, _ := c.graph.Partition(t.token)
	if !t.progress.Position().After(p.Start) {
		c.opt.Log.Error("a partition cannot be read", "partition", t.token.Short(), "error", r.err)
		c.stuck(t, "partition "+t.token.Short()+" cannot be read: "+errorText(r.err))
		t.retryAt = time.Now().Add(troubleWait)
		return nil
	}
	c.opt.Log.Warn("the position is outside of the partition's life; reading it from its start", "partition", t.token.Short(), "error", r.err)
	c.resume(readers, t, p.Start)
	return nil
}

// reroot gives a partition up whose end is beyond retention, and with it all
// that came of it up to then, and goes on with the partitions that lived at the
// oldest time that can be read.
func (c *scheduler) reroot(readers context.Context, t *task, at time.Time) error {
	alive, ok := c.aliveAt(readers, t, at)
	if !ok {
		return nil // tried again later
	}
	return c.giveUp(readers, t, at, alive)
}

// aliveAt asks for the partitions that lived at a time, to go on with them
// where one cannot be read. If they cannot be had, that is trouble for later.
func (c *scheduler) aliveAt(readers context.Context, t *task, at time.Time) ([]PartitionToken, bool) {
	ctx, cancel := context.WithTimeout(readers, c.storeTimeout())
	defer cancel()
	roots, err := c.src.roots(ctx, at)
	if err != nil {
		c.opt.Log.Error("the successors of a partition that ended before what the change stream keeps cannot be found", "partition", t.token.Short(), "error", err)
		c.stuck(t, "partition "+t.token.Short()+" ended before what the change stream keeps, and its successors cannot be found: "+errorText(err))
		t.retryAt = time.Now().Add(troubleWait)
		return nil, false
	}
	alive := make([]PartitionToken, 0, len(roots))
	for _, root := range roots {
		alive = append(alive, root.Token)
	}
	return alive, true
}

// giveUp ends a partition, and goes on with others in its place.
func (c *scheduler) giveUp(readers context.Context, t *task, at time.Time, alive []PartitionToken) error {
	children := make([]ChildPartition, 0, len(alive))
	for _, token := range alive {
		children = append(children, ChildPartition{Token: token})
	}
	t.progress.Published(Mark{Position: at, End: true})
	return c.readerEnded(readers, result{task: t, end: at, children: children})
}

// retryTroubled tries again what had trouble that may have passed.
func (c *scheduler) retryTroubled(readers context.Context) {
	now := time.Now()
	for _, t := range c.tasks {
		if !t.retryAt.IsZero() && now.After(t.retryAt) {
			c.resume(readers, t, t.progress.Position())
		}
	}
}
