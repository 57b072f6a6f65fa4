package changestream

import (
	"context"
	"time"
)

// commit saves what the store should know, in one transaction: positions and
// leases of all own partitions, ends with their children, and which partitions
// this replica takes. What was taken is then read.
func (c *scheduler) commit(readers context.Context) error {
	now := c.clock.now()
	cm := c.changes(now)
	if cm.Replica == nil && len(cm.Updates)+len(cm.Takes)+len(cm.Remove)+len(cm.Gone) == 0 {
		c.stand()
		c.pass()
		return nil
	}
	ctx, cancel := context.WithTimeout(readers, c.storeTimeout())
	defer cancel()
	res, err := c.opt.Store.Commit(ctx, cm)
	if err != nil {
		c.stand()
		return err
	}
	c.stats.Commits.Add(1)
	c.apply(readers, cm, res)
	c.stand()
	c.pass()
	return nil
}

// changes gathers what is to be committed.
func (c *scheduler) changes(now time.Time) Commit {
	cm := Commit{Owner: c.opt.Replica.ID, Now: now, Remove: c.graph.Removable(now), Gone: c.gone}
	expiry := now.Add(c.opt.Lease)
	for _, t := range c.tasks {
		c.graph.Advance(t.token, t.progress.Position())
	}
	takes := c.affordable(c.graph.Startable(now))
	for _, t := range c.tasks {
		children := c.graph.Unsaved(t.token)
		for i := range children {
			if takes[children[i].Token] {
				children[i].Owner, children[i].Epoch, children[i].Expiry, children[i].State = c.opt.Replica.ID, 1, expiry, Running
				delete(takes, children[i].Token)
			}
		}
		if u, needed := t.update(time.Now(), &c.opt, expiry, children); needed {
			cm.Updates = append(cm.Updates, u)
		}
	}
	for token := range takes {
		p, _ := c.graph.Partition(token)
		cm.Takes = append(cm.Takes, Take{Token: token, Epoch: p.Epoch, Expiry: expiry})
	}
	if time.Since(c.replica) >= c.opt.Lease/3 {
		row := c.opt.Replica
		row.Capacity, row.LastSeen = c.opt.MaxPartitions, now
		cm.Replica = &row
	}
	return cm
}

// affordable picks as many partitions as this replica has room for.
func (c *scheduler) affordable(list []Partition) map[PartitionToken]bool {
	room := len(list)
	if c.opt.MaxPartitions > 0 {
		reading := 0
		for _, t := range c.tasks {
			if !t.ended {
				reading++
			}
		}
		room = min(room, max(0, c.opt.MaxPartitions-reading))
	}
	takes := make(map[PartitionToken]bool)
	for _, p := range list[:room] {
		takes[p.Token] = true
	}
	return takes
}

// apply takes over what the store has accepted.
func (c *scheduler) apply(readers context.Context, cm Commit, res Result) {
	lost := make(map[PartitionToken]bool)
	for _, token := range res.Lost {
		lost[token] = true
		c.graph.Lost(token)
		c.lose(token)
	}
	late := make(map[PartitionToken]bool)
	for _, token := range res.NotTaken {
		late[token] = true
	}
	for _, u := range cm.Updates {
		if !lost[u.Token] {
			c.applyUpdate(readers, u, late)
		}
	}
	for _, take := range cm.Takes {
		if !late[take.Token] {
			c.take(readers, take.Token, take.Epoch+1, take.Expiry)
		}
	}
	c.graph.Remove(cm.Remove)
	c.gone = nil
	if cm.Replica != nil {
		c.replica = time.Now()
	}
}

func (c *scheduler) applyUpdate(readers context.Context, u Update, late map[PartitionToken]bool) {
	t := c.tasks[u.Token]
	t.saved = u
	t.progress.Lease(c.sure(u.Expiry))
	c.graph.Renewed(u.Token, u.Expiry)
	if len(u.Children) > 0 {
		c.graph.Saved(u.Token)
	}
	for _, child := range u.Children {
		if child.Owner != "" && !late[child.Token] {
			c.take(readers, child.Token, child.Epoch, child.Expiry)
		}
	}
	if u.Finished {
		c.graph.Finish(u.Token, c.clock.now())
		t.cancel()
		delete(c.tasks, u.Token)
	}
}

func (c *scheduler) take(readers context.Context, token PartitionToken, epoch int64, expiry time.Time) {
	c.graph.Taken(token, epoch, expiry)
	p, ok := c.graph.Partition(token)
	if !ok {
		return
	}
	c.start(readers, p, c.sure(expiry))
}

// sure is the local time until which a lease that ends at expiry, by the
// store's clock, is surely held.
func (c *scheduler) sure(expiry time.Time) time.Time {
	return c.clock.local(expiry).Add(-c.opt.Lease / 10)
}

// shutdown ends the reading in order: stop the readers, let out what they read,
// save the positions, give the partitions back.
func (c *scheduler) shutdown(ctx context.Context, stop context.CancelFunc) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opt.DrainTimeout)
	defer cancel()
	stop()
	for _, t := range c.tasks {
		<-t.done
	}
	if err := c.opt.Drained(ctx); err != nil {
		c.opt.Log.Warn("not everything that was read could be published; it will be read again", "error", err)
	}
	cm := Commit{Owner: c.opt.Replica.ID, Now: c.clock.now(), Gone: []string{c.opt.Replica.ID}}
	for _, t := range c.tasks {
		u := Update{Token: t.token, Epoch: t.epoch, Position: t.progress.Position(), End: t.saved.End}
		u.Finished = !u.End.IsZero()
		cm.Updates = append(cm.Updates, u)
		t.progress.Lease(time.Time{})
	}
	if c.clock.read.IsZero() {
		return nil // the store was never seen
	}
	if _, err := c.opt.Store.Commit(ctx, cm); err != nil {
		c.opt.Log.Warn("could not save the last positions; what came after the ones before will be published again", "error", err)
	}
	return nil
}
