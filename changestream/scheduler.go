package changestream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A scheduler decides what is read, and keeps the store. All of it happens in
// one goroutine; readers, one a partition, report to it.
type scheduler struct {
	*Stream
	graph   *Graph
	tasks   map[PartitionToken]*task
	results chan result
	clock   storeClock
	replica time.Time // when the row of this replica was written last, local
	fleet   []Replica // that were seen lately
	gone    []string  // replicas that were not
}

// run is the loop; see Stream.Run.
func (c *scheduler) run(ctx context.Context) (err error) {
	readers, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tick := time.NewTimer(0)
	defer tick.Stop()
	for err == nil && !c.complete() {
		select {
		case <-ctx.Done():
			return c.shutdown(ctx, stop)
		case r := <-c.results:
			err = c.readerEnded(readers, r)
		case <-tick.C:
			err = c.tick(readers)
			tick.Reset(jitter(c.opt.CheckpointInterval))
		}
	}
	return errors.Join(err, c.shutdown(ctx, stop))
}

// jitter keeps replicas that started together from committing together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// tick looks at the store, and changes there what is to be changed. Only errors
// that no later tick can mend are returned.
func (c *scheduler) tick(readers context.Context) error {
	if err := c.look(readers); err != nil {
		if err := c.tolerate("read the partitions table", err); err != nil || c.clock.read.IsZero() {
			return err
		}
	} else if c.graph.Len() == 0 {
		if err := c.plant(readers); err != nil {
			return c.tolerate("begin to read the change stream", err)
		}
	}
	c.retryTroubled(readers)
	now := time.Now()
	for _, t := range c.tasks {
		t.observe(now)
	}
	return c.tolerate("save positions", c.commit(readers))
}

// tolerate logs an error of the store and lets time mend it. Meanwhile leases
// run out, and with them the right to publish.
func (c *scheduler) tolerate(op string, err error) error {
	if err == nil {
		return nil
	}
	if cause := CauseOf(err); cause != Transient && cause != Unreachable {
		return err
	}
	c.opt.Log.Warn("cannot "+op+", trying again", "error", err)
	return nil
}

// look reads the store.
func (c *scheduler) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.storeTimeout())
	defer cancel()
	sent := time.Now()
	view, err := c.opt.Store.View(ctx)
	if err != nil {
		return err
	}
	c.clock = storeClock{read: view.Now, sent: sent, received: time.Now()}
	clock := c.clock
	c.src.clock.Store(&clock)
	for _, token := range c.graph.Load(view.Partitions) {
		c.lose(token)
	}
	c.gone, c.fleet = nil, nil
	for _, r := range view.Replicas {
		switch silence := view.Now.Sub(r.LastSeen); {
		case silence > 10*c.opt.Lease && r.ID != c.opt.Replica.ID:
			c.gone = append(c.gone, r.ID)
		case silence <= c.opt.Lease:
			c.fleet = append(c.fleet, r)
		}
	}
	c.stand()
	return nil
}

// storeTimeout bounds one call of the store, so that a renewal that hangs can
// be tried again before the lease has run out.
func (c *scheduler) storeTimeout() time.Duration { return c.opt.Lease / 3 }

// plant asks the stream for its partitions and stores them, unless another
// replica was faster.
func (c *scheduler) plant(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	at := c.opt.Start(c.clock.now()).Truncate(time.Microsecond) // what every dialect can store
	roots, err := c.src.roots(ctx, at)
	if err != nil {
		return err
	}
	res, err := c.opt.Store.Commit(ctx, Commit{Owner: c.opt.Replica.ID, Now: c.clock.now(), Roots: roots})
	if err != nil {
		return err
	}
	if !res.RootsExist {
		c.opt.Log.Info("reading begins", "partitions", len(roots), "from", at)
	}
	return c.look(ctx)
}

// readerEnded acts on what a reader found.
func (c *scheduler) readerEnded(readers context.Context, r result) error {
	t := r.task
	if c.tasks[t.token] != t {
		return nil // was lost meanwhile
	}
	if r.err != nil {
		return c.readerFailed(readers, r)
	}
	c.opt.Log.Debug("partition ended", "partition", t.token.Short(), "end", r.end, "children", len(r.children))
	t.ended, t.endedAt = true, time.Now()
	c.graph.Ended(t.token, r.end, r.children)
	return c.tolerate("save the end of a partition", c.commit(readers))
}

// start begins to read a partition that was taken.
func (c *scheduler) start(readers context.Context, p Partition, lease time.Time) {
	ctx, cancel := context.WithCancel(readers)
	t := &task{
		token: p.Token, epoch: p.Epoch, progress: NewProgress(p.Position), cancel: cancel, done: make(chan struct{}),
		saved: Update{Token: p.Token, Epoch: p.Epoch, Position: p.Position, Expiry: p.Expiry},
	}
	t.progress.Lease(lease)
	c.tasks[p.Token] = t
	c.read(ctx, t, p.Start, p.Position)
}

// read starts the reader of a task.
func (c *scheduler) read(ctx context.Context, t *task, start, position time.Time) {
	p, _ := c.graph.Partition(t.token)
	log := c.opt.Log.With("partition", t.token.Short())
	r := &reader{source: c.src, token: t.token, start: start, position: position, progress: t.progress, sink: c.opt.NewSink(p), log: log}
	log.Debug("reading", "position", position, "epoch", t.epoch)
	go func() {
		defer close(t.done)
		end, children, err := r.read(ctx)
		select {
		case c.results <- result{task: t, end: end, children: children, err: err}:
		case <-ctx.Done():
		}
	}()
}

// lose stops what another replica owns now, or might.
func (c *scheduler) lose(token PartitionToken) {
	t := c.tasks[token]
	if t == nil {
		return
	}
	c.opt.Log.Warn("lost a partition to another replica", "partition", token.Short(), "epoch", t.epoch)
	c.stats.LeasesLost.Add(1)
	t.progress.Lease(time.Time{})
	t.cancel()
	delete(c.tasks, token)
}

// stand tells the rest of the process how things stand.
func (c *scheduler) stand() {
	st := &standing{replicas: c.fleet}
	for _, t := range c.tasks {
		if !t.ended {
			st.own = append(st.own, t.progress)
		}
		if t.trouble != "" {
			st.stuck = append(st.stuck, t.trouble)
		}
	}
	st.others, st.some = c.graph.Others(c.clock.now())
	c.now.Store(st)
}

// A storeClock estimates the store's time from the last look at it.
type storeClock struct {
	read           time.Time // the store's
	sent, received time.Time // local, around it
}

// now is never ahead of the store's clock.
func (s storeClock) now() time.Time { return s.read.Add(time.Since(s.received)) }

// local is a local time that is not after the store's clock shows t.
func (s storeClock) local(t time.Time) time.Time { return s.sent.Add(t.Sub(s.read)) }
