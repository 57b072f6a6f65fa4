package changestream_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// Two replicas: the destination is another's, and waits until what the source
// had is saved. What is only published could be published once more, later,
// when its owner dies.
func TestMutable_ADestinationWaitsForWhatAnotherReplicaHasSaved(t *testing.T) {
	t.Parallel()
	for kind, move := range moves {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := newMutable(t, emulator.Options{Partitions: 1}, emulator.GoogleSQL)
			f.opt.Lease = 3 * time.Second
			a := f.replica("a", 1)
			f.until("a reads", func() bool { return a.stream.Owned() == 1 })
			b := f.replica("b", 1)
			f.stream = a.stream
			f.commit(10)
			from, to := a, b
			if move.before != "" {
				f.churn(move.before, "")
				f.until("b reads the new partition", func() bool { return b.stream.Owned() == 1 })
				from, to = b, a
			}
			f.check(f.commit(20))
			source, churned := move.source(f.open())
			waited := to.stream.Stats().MoveIns.Load()
			from.out.hold(source)
			f.commit(10)
			must(t, f.server.Churn(testDatabase, testStream, kind, churned))
			last := f.commit(10)
			f.until("the destination waits", func() bool { return to.stream.Stats().MoveIns.Load() > waited })
			from.line.set(false, true)
			from.out.release()
			looks := to.line.views()
			f.until("the store is looked at", func() bool { return to.line.views() > looks+5 })
			for id := range 10 {
				if before, after := f.sink.partitionOf(id, "4"), f.sink.partitionOf(id, "5"); after != "" && after != before {
					t.Errorf("row %d: went on in another partition before it was saved what the source had", id)
				}
			}
			from.kill()
			c := f.replica("c", 0)
			f.stream = c.stream
			f.check(last)
			f.sink.noStepBack(t)
			must(t, c.stop())
			must(t, to.stop())
		})
	}
}

// partitionOf is the partition that published a version of a row first.
func (r *recorder) partitionOf(id int, version string) changestream.PartitionToken {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all {
		if c.row == fmt.Sprint(id) && c.version == version {
			return c.partition
		}
	}
	return ""
}

// noStepBack checks that no partition published a change again, after another
// one had gone on with the row.
func (r *recorder) noStepBack(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	latest := make(map[string]change)
	for _, c := range r.all {
		was := latest[c.row]
		if len(c.version) < len(was.version) || len(c.version) == len(was.version) && c.version < was.version {
			if c.partition != was.partition {
				t.Errorf("row %s: version %s after version %s of another partition", c.row, c.version, was.version)
			}
			continue
		}
		latest[c.row] = c
	}
}

// Replicas come, go and die in the middle of moves, while partitions are behind.
func TestMutable_ReplicasDieInTheMiddleOfMoves(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, seed))
			f := newMutable(t, emulator.Options{Partitions: 3, Faults: emulator.Faults{OneRowPerFrame: true}}, dialects[seed%2])
			f.opt.QueryWindow, f.opt.Lease = 200*time.Millisecond, time.Second
			fleet := []*replica{f.replica("0", 0), f.replica("1", 2)}
			f.until("partitions are read", func() bool { return fleet[0].stream.Owned()+fleet[1].stream.Owned() == 3 })
			for i := range 30 {
				open := f.open()
				for _, r := range fleet {
					r.out.hold(open[rnd.IntN(len(open))])
				}
				f.commit(5)
				for range 2 {
					open = f.open()
					f.churn([]emulator.Change{emulator.Split, emulator.Merge, emulator.Move}[rnd.IntN(3)], open[rnd.IntN(len(open))])
					f.commit(5)
				}
				if i%6 == 5 {
					victim := rnd.IntN(2)
					if rnd.IntN(2) == 0 {
						fleet[victim].kill()
					} else {
						fleet[victim].out.die()
						must(t, fleet[victim].stop())
					}
					fleet[victim] = f.replica(fmt.Sprint(i), victim*2) // one takes all that the other has no room for
				}
				for _, r := range fleet {
					r.out.release()
				}
				if i%6 == 3 {
					f.stream = fleet[0].stream
					f.check(f.commit(1))
				}
			}
			f.stream = fleet[0].stream
			f.check(f.commit(10))
			for _, r := range fleet {
				must(t, r.stop())
			}
		})
	}
}
