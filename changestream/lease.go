package changestream

import (
	"context"
	"math/rand/v2"
	"time"
)

// sure is the local time until which a lease that ends at expiry, by the
// store's clock, is surely held. Nobody may take the partition before that clock
// shows expiry; a tenth of the lease is left for what was checked and is being
// sent, and for clocks that do not run alike.
func (c *scheduler) sure(expiry time.Time) time.Time {
	return c.clock.local(expiry).Add(-c.opt.Lease / 10)
}

// renewAfter is how old a lease gets before it is renewed: at most a third of
// it, and not the same for all, so that renewals spread over the commits. One
// commit may fail before half of the lease is over.
func (c *scheduler) renewAfter() time.Duration {
	third := c.opt.Lease/4 + rand.N(c.opt.Lease/12)
	return min(third, max(0, c.opt.Lease/2-c.opt.CheckpointInterval*11/10))
}

// adopt begins to read what the store gives to this replica and what it does not
// read yet: partitions that another handed over, and those of commits whose
// answer was lost. The lease of the latter may be old; it is taken anew then.
func (c *scheduler) adopt(readers context.Context) {
	clear(c.reclaim)
	now := c.clock.now()
	for _, p := range c.graph.list(func(n *node) bool { return c.graph.own(n) && c.tasks[n.Token] == nil }) {
		if p.End.IsZero() && p.Expiry.Sub(now) > c.opt.Lease/2 {
			c.opt.Log.Info("was handed a partition", "partition", p.Token.Short(), "epoch", p.Epoch)
			c.start(readers, p, c.sure(p.Expiry))
			continue
		}
		c.graph.Lost(p.Token)
		c.reclaim[p.Token] = true
	}
}

// dropLapsed gives up partitions whose lease was seen to have run out: the
// replica was paused, or the store could not be reached. What was read since is
// not published. If nobody has taken them they are taken anew, in another epoch,
// and read on from where they were published.
func (c *scheduler) dropLapsed() {
	for _, t := range c.tasks {
		if !t.progress.Over() || t.still {
			continue
		}
		c.opt.Log.Warn("a lease ran out before it was renewed", "partition", t.token.Short(), "epoch", t.epoch)
		c.stats.LeasesLost.Add(1)
		c.graph.Advance(t.token, t.progress.Position())
		c.graph.Lost(t.token)
		c.forget(t)
		c.reclaim[t.token] = true
	}
}
