package changestream

import (
	"context"
	"time"
)

// shutdown ends the reading in order: stop the readers, let out what they read,
// save the positions, hand the partitions to the replicas that stay.
func (c *scheduler) shutdown(ctx context.Context, stop context.CancelFunc) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opt.DrainTimeout)
	defer cancel()
	stop()
	for _, t := range c.tasks {
		<-t.done
	}
	c.beside.Wait()
	if err := c.opt.Drained(ctx); err != nil {
		c.opt.Log.Warn("not everything that was read could be published; it will be read again", "error", err)
	}
	if c.clock.read.IsZero() {
		return nil // the store was never seen
	}
	if err := c.leave(ctx); err != nil {
		c.opt.Log.Warn("could not save the last positions; what came after the ones before will be published again", "error", err)
	}
	return nil
}

// leave commits what is left to say. Another replica may hand partitions over
// up to the moment at which this one's row is gone, so the store is read once
// more after that.
func (c *scheduler) leave(ctx context.Context) error {
	now := c.clock.now()
	cm := Commit{Owner: c.opt.Replica.ID, Now: now, Ended: &c.opt.Replica}
	var going []PartitionToken
	for _, t := range c.tasks {
		t.progress.Stop()
		u := Update{Token: t.token, Epoch: t.epoch, Position: t.progress.Position(), End: t.saved.End}
		if u.Finished = !u.End.IsZero(); !u.Finished {
			going = append(going, t.token)
		}
		cm.Updates = append(cm.Updates, u)
	}
	heirs := c.heirs(now, going)
	for i := range cm.Updates {
		if to, ok := heirs[cm.Updates[i].Token]; ok {
			cm.Updates[i].To, cm.Updates[i].Expiry = to, now.Add(c.opt.Lease)
		}
	}
	if _, err := c.opt.Store.Commit(ctx, cm); err != nil {
		return err
	}
	view, err := c.opt.Store.View(ctx)
	if err != nil {
		return err
	}
	cm = Commit{Owner: c.opt.Replica.ID, Now: view.Now}
	for _, p := range view.Partitions {
		if p.Owner == c.opt.Replica.ID && p.State != Finished {
			cm.Updates = append(cm.Updates, Update{Token: p.Token, Epoch: p.Epoch, Position: p.Position})
		}
	}
	if len(cm.Updates) == 0 {
		return nil
	}
	_, err = c.opt.Store.Commit(ctx, cm)
	return err
}

// heirs decides which of the other replicas get the partitions of this one.
func (c *scheduler) heirs(now time.Time, going []PartitionToken) map[PartitionToken]string {
	return assign(c.members(now)[1:], going)
}
