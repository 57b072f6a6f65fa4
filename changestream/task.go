package changestream

import (
	"context"
	"time"
)

// A task is a partition that this replica owns, from the moment it takes it to
// the moment it is finished or given up.
type task struct {
	token    PartitionToken
	epoch    int64
	progress *Progress
	cancel   context.CancelFunc
	done     chan struct{} // closed when its reader has returned

	samples []sample
	saved   Update // as the store has it
	ended   bool   // read to its end, and published
	endedAt time.Time
	skipped time.Time // where it went on after a gap
	trouble string    // why it is not read, if it is not
	retryAt time.Time // when to try once more, with trouble that may pass
	pause   *pause    // what its reader waits for
}

// A sample is how far a partition was published at some time.
type sample struct {
	at       time.Time
	position time.Time
}

// result is how a reader ended.
type result struct {
	task     *task
	end      time.Time
	children []ChildPartition
	err      error
}

// observe notes how far the partition is published now.
func (t *task) observe(now time.Time) {
	t.samples = append(t.samples, sample{at: now, position: t.progress.Position()})
}

// safe is the position to be saved: the newest that is at least as old as the
// lag. What was published later may still wait in a socket.
func (t *task) safe(now time.Time, lag time.Duration) time.Time {
	position := t.saved.Position
	for len(t.samples) > 0 && now.Sub(t.samples[0].at) >= lag {
		position = later(position, t.samples[0].position)
		t.samples = t.samples[1:]
	}
	return position
}

// update is what the store should hold of the partition; not needed when it
// holds that already and the lease is long enough.
func (t *task) update(now time.Time, o *Options, expiry time.Time, unsaved []Partition) (u Update, needed bool) {
	u = Update{Token: t.token, Epoch: t.epoch, Position: t.safe(now, o.CheckpointLag), Expiry: expiry, End: t.saved.End}
	if t.ended {
		if u.End = t.progress.Position(); now.Sub(t.endedAt) >= o.CheckpointLag {
			u.Finished, u.Position = true, u.End
		}
	}
	u.Children = unsaved
	due := t.saved.Expiry.Sub(expiry) < -o.Lease/3
	needed = due || u.Finished || len(u.Children) > 0 || !u.Position.Equal(t.saved.Position) || !u.End.Equal(t.saved.End)
	return u, needed
}
