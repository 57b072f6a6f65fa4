package changestream

import (
	"context"
	"slices"
	"time"
)

const (
	// maxBeat is the longest time between two looks at who is there.
	maxBeat = 200 * time.Millisecond
	// expectFor is how many checkpoint intervals a replica looks often for
	// partitions that others should give to it, or take.
	expectFor = 5
	// overdueAfter is how many checkpoint intervals a partition is left to the
	// replica whose share it is. After that anybody takes it.
	overdueAfter = 2
	// maxTakes is how many partitions a commit takes at most, besides children of
	// own ones, so that it ends in time however many there are.
	maxTakes = 250
)

// A balance is what a replica knows about its share, over time.
type balance struct {
	plan     plan
	surplus  time.Time                    // since when it has more than its share, local
	expected time.Time                    // since when others have what is its share, local
	full     time.Time                    // since when no replica has room, local
	settle   time.Duration                // how long that must last to be said
	said     bool                         // that it lasts
	more     bool                         // there is more to take than the last commit could
	open     map[PartitionToken]time.Time // since when partitions have no owner, local
	left     time.Time                    // since when the latest of them was left to others, local
}

// note takes a plan over.
func (b *balance) note(p plan, now time.Time) {
	b.plan = p
	since := func(t *time.Time, is bool) {
		if !is {
			*t = time.Time{}
		} else if t.IsZero() {
			*t = now
		}
	}
	since(&b.surplus, len(p.give) > 0)
	since(&b.expected, p.want > 0)
	since(&b.full, p.beyond > 0)
}

// unsettled tells whether partitions are about to change hands. Two replicas that
// look at the same moment may each leave a partition to the other: the sooner
// they look again, the shorter it is not published. Nobody looks often for longer
// than a while: there may be no room for it anywhere.
func (b *balance) unsettled(now time.Time, while time.Duration) bool {
	recent := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < while }
	return b.more || !b.surplus.IsZero() || recent(b.expected) || recent(b.left)
}

// crowded tells whether partitions are left unread for want of room.
func (b *balance) crowded() bool { return !b.full.IsZero() && time.Since(b.full) > b.settle }

// sayWhenFull logs when partitions begin to be left unread for want of room, and
// when that is over.
func (c *scheduler) sayWhenFull() {
	b := &c.balance
	if full := b.crowded(); full != b.said {
		if b.said = full; full {
			c.opt.Log.Error("nobody reads some partitions: all replicas have as many as MAX_PARTITIONS lets them", "partitions", b.plan.beyond)
		} else {
			c.opt.Log.Info("there is a replica for every partition again")
		}
	}
}

// beat is how often this replica looks at who is there.
func (c *scheduler) beat() time.Duration { return min(maxBeat, c.opt.CheckpointInterval/5) }

// untilTick is how long to wait before the next look at the store: an interval, or
// less when something is about to happen there.
func (c *scheduler) untilTick() time.Duration {
	if c.balance.unsettled(time.Now(), expectFor*c.opt.CheckpointInterval) {
		return c.beat()
	}
	pause := jitter(c.opt.CheckpointInterval)
	if next := c.graph.nextExpiry(c.clock.now()); !next.IsZero() {
		pause = min(pause, max(c.beat(), next.Sub(c.clock.now())))
	}
	return pause
}

// watch notices that a replica has come or gone, until ctx is done. It reads a
// few rows several times a second, beside the loop, so that a store that does
// not answer holds up nothing.
func (c *scheduler) watch(ctx context.Context, changed chan<- struct{}) {
	tick := time.NewTicker(jitter(c.beat()))
	defer tick.Stop()
	var known []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ids, err := c.replicaIDs(ctx)
		if err != nil || slices.Equal(ids, known) {
			continue
		}
		if known != nil {
			select {
			case changed <- struct{}{}:
			default: // it knows already
			}
		}
		known = ids
	}
}

func (c *scheduler) replicaIDs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.storeTimeout())
	defer cancel()
	ids, err := c.opt.Store.Present(ctx)
	slices.Sort(ids)
	return ids, err
}

// present tells whether a replica counts. It says that it is there with every
// commit. One that was killed must not count any more when its first leases run
// out: it would be given what others have just taken from it.
func (c *scheduler) present(r Replica, lapsed time.Time) bool {
	silence := c.clock.now().Sub(r.LastSeen)
	return silence <= min(c.opt.Lease, c.opt.Lease/6+2*c.opt.CheckpointInterval) && !lapsed.After(r.LastSeen)
}

// members are the replicas that share the partitions, this one, the first, among
// them. Who let a lease run out and has said nothing since is not there.
func (c *scheduler) members(now time.Time) []member {
	self := c.opt.Replica.ID
	reads, lapsed := c.graph.load(now), c.graph.lapsed(now)
	for _, t := range c.tasks {
		if t.to != "" {
			reads[self]--
			reads[t.to]++
		}
	}
	out := []member{{id: self, capacity: c.opt.MaxPartitions, owns: reads[self]}}
	for _, r := range c.fleet {
		if r.ID != self && c.present(r, lapsed[r.ID]) {
			out = append(out, member{id: r.ID, capacity: r.Capacity, owns: reads[r.ID]})
		}
	}
	return out
}

// takes decides which partitions this replica takes now, of those whose turn it
// is: children of its own partitions, what it had let slip, and its share of the
// rest. What others leave lying is taken by whoever has room.
func (c *scheduler) takes(now time.Time) map[PartitionToken]bool {
	members := c.members(now)
	self := &members[0]
	out := make(map[PartitionToken]bool)
	take := func(token PartitionToken) bool {
		if self.capacity > 0 && self.owns >= self.capacity {
			return false
		}
		out[token] = true
		self.owns++
		return true
	}
	local, open := time.Now(), make(map[PartitionToken]time.Time)
	var rest []PartitionToken
	for _, p := range c.graph.Startable(now) {
		since, known := c.balance.open[p.Token]
		if !known {
			since = local
		}
		open[p.Token] = since
		mine := c.reclaim[p.Token] || c.graph.heir(&p) || local.Sub(since) > overdueAfter*c.opt.CheckpointInterval
		if !mine || !take(p.Token) {
			rest = append(rest, p.Token)
		}
	}
	var own []PartitionToken
	if len(members) > 1 {
		own = c.givable()
	}
	p := share(c.opt.Replica.ID, members, rest, own)
	c.balance.more = len(p.take) > maxTakes
	for _, token := range p.take[:min(len(p.take), maxTakes)] {
		out[token] = true
	}
	c.balance.open, c.balance.left, c.balance.settle = open, time.Time{}, overdueAfter*c.opt.CheckpointInterval
	for token, since := range open {
		if !out[token] && since.After(c.balance.left) {
			c.balance.left = since
		}
	}
	c.balance.note(p, local)
	return out
}

// givable are the own partitions that can be handed over, the youngest first.
func (c *scheduler) givable() []PartitionToken {
	var out []PartitionToken
	for _, p := range slices.Backward(c.graph.Owned()) {
		if t := c.tasks[p.Token]; t != nil && !t.ended && t.to == "" && t.trouble == "" && !c.graph.heir(&p) {
			out = append(out, p.Token)
		}
	}
	return out
}

// rebalance begins to hand over what is more than this replica's share, if that
// was so for half an interval: fleets and partitions change in steps.
func (c *scheduler) rebalance(readers context.Context) {
	b := &c.balance
	if b.surplus.IsZero() || time.Since(b.surplus) < c.opt.CheckpointInterval/2 {
		return
	}
	var group []*task
	for token, to := range b.plan.give {
		t := c.tasks[token]
		if t == nil {
			continue // lost in the commit that the plan was made for
		}
		t.to = to
		t.cancel()
		group = append(group, t)
	}
	b.surplus = time.Time{}
	c.beside.Go(func() { c.drain(readers, group) })
}

// drain waits until all that some tasks have read is published, so that they can
// be handed over. It is no loss if that takes too long: the rest is read again.
func (c *scheduler) drain(readers context.Context, group []*task) {
	for _, t := range group {
		<-t.done
	}
	ctx, cancel := context.WithTimeout(readers, min(c.opt.DrainTimeout, c.opt.Lease/3))
	defer cancel()
	if err := c.opt.Drained(ctx); err != nil && readers.Err() == nil {
		c.opt.Log.Warn("not everything that was read could be published before a hand-over; it will be read again", "error", err)
	}
	select {
	case c.drained <- group:
	case <-readers.Done():
	}
}

// handOver gives to others what was drained.
func (c *scheduler) handOver(readers context.Context, group []*task) error {
	for _, t := range group {
		if c.tasks[t.token] == t && t.to != "" {
			t.progress.Stop()
			t.still = true
		}
	}
	return c.tolerate("hand partitions over", c.commit(readers))
}
