package changestream

import (
	"context"
	"slices"
	"time"
)

// A task is a partition that this replica owns, from the moment it takes it to
// the moment it is finished or given up.
type task struct {
	token    PartitionToken
	epoch    int64
	since    time.Time // when it began, local
	progress *Progress
	cancel   context.CancelFunc
	done     chan struct{} // closed when its reader has returned

	samples []sample
	saved   Update        // as the store has it
	renew   time.Duration // how old the lease gets before it is renewed
	ended   bool          // read to its end, and published
	endedAt time.Time
	skipped time.Time // where it went on after a gap
	trouble string    // why it is not read, if it is not
	retryAt time.Time // when to try once more, with trouble that may pass
	to      string    // the replica that it is about to be handed to
	still   bool      // with to: no more of it will be published here
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

// samplesPerLag bounds how finely the way of a partition is remembered.
const samplesPerLag = 16

// observe notes how far the partition is published now.
func (t *task) observe(now time.Time, lag time.Duration) {
	if n := len(t.samples); n > 0 && now.Sub(t.samples[n-1].at) < lag/samplesPerLag {
		return
	}
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
//
// A position that only heartbeats moved is saved with the next renewal, if lazy:
// in a large fleet most partitions are idle. Out is what the partition gave away
// where it waits itself.
func (t *task) update(now time.Time, o *Options, expiry time.Time, lazy bool, unsaved []Partition, out departure) (u Update, needed bool) {
	u = Update{Token: t.token, Epoch: t.epoch, Position: t.safe(now, o.CheckpointLag), Expiry: expiry, End: t.saved.End}
	switch {
	case t.still:
		u.To = t.to
	case t.ended:
		if u.End = t.progress.Position(); now.Sub(t.endedAt) >= o.CheckpointLag {
			u.Finished, u.Position = true, u.End
		}
	}
	gave := len(out.to) > 0 && !(out.at.Equal(t.saved.MovedAt) && slices.Equal(out.to, t.saved.MovedTo))
	if gave {
		u.MovedAt, u.MovedTo, u.Position = out.at, out.to, later(u.Position, out.at)
	}
	u.Children = unsaved
	due := expiry.Sub(t.saved.Expiry) >= t.renew
	moved := u.Position.After(t.saved.Position) && (!lazy || t.progress.changedSince(t.saved.Position))
	needed = due || moved || gave || u.Finished || u.To != "" || len(u.Children) > 0 || !u.End.Equal(t.saved.End)
	return u, needed
}
