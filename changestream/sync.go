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
	takes := c.takes(now)
	lazy := !c.opt.Gate && !c.opt.Info.MutableKeyRange // those wait for positions of others
	for _, t := range c.tasks {
		var children []Partition
		if t.ended || c.opt.Info.MutableKeyRange {
			children = c.graph.Unsaved(t.token)
		}
		for i := range children {
			if takes[children[i].Token] {
				children[i].Owner, children[i].Epoch, children[i].Expiry, children[i].State = c.opt.Replica.ID, 1, expiry, Running
				delete(takes, children[i].Token)
			}
		}
		if u, needed := t.update(time.Now(), &c.opt, expiry, lazy, children, c.departed(t)); needed {
			cm.Updates = append(cm.Updates, u)
		}
	}
	for token := range takes {
		p, _ := c.graph.Partition(token)
		cm.Takes = append(cm.Takes, Take{Token: token, Epoch: p.Epoch, Expiry: expiry})
	}
	idle := len(cm.Updates)+len(cm.Takes)+len(cm.Remove)+len(cm.Gone) == 0
	if since := time.Since(c.replica); since >= c.opt.Lease/6 || !idle && since >= c.opt.CheckpointInterval/2 {
		row := c.opt.Replica
		row.Capacity, row.LastSeen = c.opt.MaxPartitions, now
		cm.Replica = &row
	}
	return cm
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
	if u.To != "" {
		c.opt.Log.Info("handed a partition over", "partition", u.Token.Short(), "to", u.To, "position", u.Position)
		c.graph.HandedOver(u.Token, u.To, u.Epoch+1, u.Expiry)
		c.stats.HandedOver.Add(1)
		c.forget(t)
		return
	}
	if u.MovedAt.IsZero() {
		u.MovedAt, u.MovedTo = t.saved.MovedAt, t.saved.MovedTo
	}
	t.saved, t.renew = u, c.renewAfter()
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
	delete(c.reclaim, token)
	p, ok := c.graph.Partition(token)
	if !ok {
		return
	}
	c.start(readers, p, c.sure(expiry))
}
