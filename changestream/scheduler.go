package changestream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A scheduler decides what is read, and keeps the store. All of it happens in
// one goroutine; readers, one a partition, report to it.
type scheduler struct {
	*Stream
	graph   *Graph
	tasks   map[PartitionToken]*task
	results chan result
	pauses  chan *pause
	left    *departures
	clock   storeClock
	replica time.Time // when the row of this replica was written last, local
	fleet   []Replica // that were seen lately
	past    []string  // epochs of those that have ended lately
	gone    []string  // replicas that were not
	reclaim map[PartitionToken]bool
	balance balance
	drained chan []*task   // tasks that may be handed over
	beside  sync.WaitGroup // goroutines that are not readers
}

func newScheduler(s *Stream) *scheduler {
	return &scheduler{
		Stream: s, tasks: make(map[PartitionToken]*task), results: make(chan result), drained: make(chan []*task),
		pauses: make(chan *pause), left: newDepartures(),
		graph:   NewGraph(GraphOptions{Self: s.opt.Replica.ID, Gate: s.opt.Gate, Mutable: s.opt.Info.MutableKeyRange, Retention: s.opt.Info.Retention, Keep: cmp.Or(s.opt.Keep, keepFinished)}),
		reclaim: make(map[PartitionToken]bool), balance: balance{open: make(map[PartitionToken]time.Time)},
	}
}

// run is the loop; see Stream.Run.
func (c *scheduler) run(ctx context.Context) (err error) {
	readers, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	wake := make(chan struct{}, 1)
	c.beside.Go(func() { c.watch(readers, wake) })
	tick := time.NewTimer(0)
	defer tick.Stop()
	for err == nil && !c.complete() {
		select {
		case <-ctx.Done():
			return c.shutdown(ctx, stop)
		case r := <-c.results:
			err = c.readersEnded(readers, r)
		case group := <-c.drained:
			err = c.handOver(readers, group)
		case <-wake:
			err = c.tick(readers)
			tick.Reset(c.untilTick())
		case p := <-c.pauses:
			err = c.paused(readers, p)
		case <-c.left.news:
			c.pass()
		case <-tick.C:
			err = c.tick(readers)
			tick.Reset(c.untilTick())
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
	c.dropLapsed()
	now := time.Now()
	for _, t := range c.tasks {
		t.observe(now, c.opt.CheckpointLag)
	}
	err := c.tolerate("save positions", c.commit(readers))
	c.rebalance(readers)
	c.sayWhenFull()
	return err
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
func (c *scheduler) look(readers context.Context) error {
	ctx, cancel := context.WithTimeout(readers, c.storeTimeout())
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
	c.gone, c.fleet, c.past = view.Outdated, nil, nil
	for _, r := range view.Ended {
		c.past = append(c.past, r.Epoch)
	}
	for _, r := range view.Replicas {
		switch silence := view.Now.Sub(r.LastSeen); {
		case silence > 10*c.opt.Lease && r.ID != c.opt.Replica.ID:
			c.gone = append(c.gone, r.ID)
		case silence <= c.opt.Lease:
			c.fleet = append(c.fleet, r)
		}
	}
	c.adopt(readers)
	c.stand()
	return nil
}

// storeTimeout bounds one call of the store, so that a renewal that hangs can
// be tried again before the lease has run out.
func (c *scheduler) storeTimeout() time.Duration { return c.opt.Lease / 3 }

// plant asks the stream for its partitions and stores them, unless another
// replica was faster.
func (c *scheduler) plant(readers context.Context) error {
	ctx, cancel := context.WithTimeout(readers, 30*time.Second)
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
	return c.look(readers)
}

// readersEnded acts on what a reader found, and others that wait to say
// something: one commit is for all of them.
func (c *scheduler) readersEnded(readers context.Context, r result) error {
	for {
		if err := c.readerEnded(readers, r); err != nil {
			return err
		}
		select {
		case r = <-c.results:
		default:
			return c.tolerate("save the end of a partition", c.commit(readers))
		}
	}
}

// readerEnded acts on what a reader found. What follows from it is to be
// committed.
func (c *scheduler) readerEnded(readers context.Context, r result) error {
	t := r.task
	if c.tasks[t.token] != t {
		return nil // was lost meanwhile
	}
	if r.err != nil {
		if t.to != "" {
			return nil // was stopped, to be handed over
		}
		return c.readerFailed(readers, r)
	}
	c.opt.Log.Debug("partition ended", "partition", t.token.Short(), "end", r.end, "children", len(r.children))
	t.ended, t.endedAt, t.to = true, time.Now(), ""
	c.graph.Ended(t.token, r.end, r.children)
	return nil
}

// start begins to read a partition that was taken.
func (c *scheduler) start(readers context.Context, p Partition, lease time.Time) {
	ctx, cancel := context.WithCancel(readers)
	t := &task{
		token: p.Token, epoch: p.Epoch, since: time.Now(), progress: NewProgress(p.Position), cancel: cancel, done: make(chan struct{}),
		saved: Update{Token: p.Token, Epoch: p.Epoch, Position: p.Position, Expiry: p.Expiry, MovedAt: p.MovedAt, MovedTo: p.MovedTo}, renew: c.renewAfter(),
	}
	t.progress.Lease(lease)
	t.progress.left = func(m Mark) { c.left.note(p.Token, m) }
	c.tasks[p.Token] = t
	c.read(ctx, t, p.Start, p.Position)
}

// read starts the reader of a task.
func (c *scheduler) read(ctx context.Context, t *task, start, position time.Time) {
	p, _ := c.graph.Partition(t.token)
	log := c.opt.Log.With("partition", t.token.Short())
	r := &reader{source: c.src, token: t.token, start: start, position: position, progress: t.progress, sink: c.opt.NewSink(p), log: log,
		pause: func(ctx context.Context, kind Kind, rec PartitionRecord) error { return c.pause(ctx, t, kind, rec) }}
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

// lose stops what is not this replica's any more, and says whose it is, if the
// store was looked at since.
func (c *scheduler) lose(token PartitionToken) {
	t := c.tasks[token]
	if t == nil {
		return
	}
	var to string
	switch p, _ := c.graph.Partition(token); p.Owner {
	case Released:
		to = "spancast admin release or reset"
	case "", c.opt.Replica.ID:
		to = "another replica, or to spancast admin release or reset"
	default:
		to = "another replica"
	}
	c.opt.Log.Warn("lost a partition to "+to, "partition", token.Short(), "epoch", t.epoch)
	c.stats.LeasesLost.Add(1)
	c.forget(t)
}

// forget ends a task: nothing of it is published from now on.
func (c *scheduler) forget(t *task) {
	t.progress.Stop()
	t.cancel()
	delete(c.tasks, t.token)
}

// stand tells the rest of the process how things stand.
func (c *scheduler) stand() {
	st := &standing{replicas: c.fleet, ended: c.past}
	for _, t := range c.tasks {
		if !t.ended {
			st.own = append(st.own, t.progress)
		}
		if t.trouble != "" {
			st.stuck = append(st.stuck, t.trouble)
		}
	}
	if c.balance.crowded() {
		st.stuck = append(st.stuck, fmt.Sprintf("nobody reads %d partitions: all replicas have as many as MAX_PARTITIONS lets them", c.balance.plan.beyond))
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
