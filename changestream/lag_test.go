package changestream_test

import (
	"slices"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// What was handed to a socket may be lost with the process for as long as the
// lag. Until then no position that is saved is behind it, whether the partition
// stays, is handed over, or ends; but for a replica that ends in order, which
// empties its sockets.
func TestFleet_PositionsTrailByTheLag(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 4})
	f.opt.CheckpointLag = time.Hour
	a := f.join("a")
	f.owners(map[string]int{"a": 4})
	f.commit(20)
	f.everything()
	settled := func(p *peer) {
		t.Helper()
		commits := p.stream.Stats().Commits.Load()
		f.until("leases are renewed", func() bool { return p.stream.Stats().Commits.Load() > commits+5 })
		for _, p := range f.stored() {
			if !p.Position.Equal(p.Start) || p.State == changestream.Finished {
				t.Errorf("%s of %s: %s, position %s, start %s", p.Token.Short(), p.Owner, p.State, p.Position, p.Start)
			}
		}
	}
	settled(a)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Split, ""))
	f.until("the parent has ended", func() bool {
		return slices.ContainsFunc(f.stored(), func(p changestream.Partition) bool { return !p.End.IsZero() })
	})
	settled(a)
	b := f.join("b")
	f.until("some partitions are handed over", func() bool { return f.owner("b") >= 2 })
	settled(b)
	for _, p := range f.stored() {
		if len(p.Parents) > 0 && p.Owner != "a" {
			t.Errorf("a child is read by %q, though what its parent had last could be lost with a", p.Owner)
		}
	}
	f.commit(20)
	f.everything()
	last := f.commit(1)
	f.until("it is published", func() bool { own, _ := b.stream.Resolved(); return own.After(last) })
	b.leave()
	for _, p := range f.stored() {
		if p.Epoch > 2 && !p.Position.After(last) {
			t.Errorf("%s: position %s, though all of it was published in order", p.Token.Short(), p.Position)
		}
	}
	a.leave()
}

// A merge of partitions of two replicas: what one of them published last could
// be lost with it, and be published again by the next owner. The child waits
// until it cannot.
func TestFleet_AMergedPartitionWaitsUntilNothingOfItsParentsCanBeLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 2})
	f.opt.CheckpointLag = time.Hour
	a, b := f.join("a"), f.join("b")
	f.owners(map[string]int{"a": 1, "b": 1})
	f.commit(20)
	f.everything()
	must(t, f.server.Churn(testDatabase, testStream, emulator.Merge, ""))
	f.commit(20)
	child := func() changestream.Partition {
		for _, p := range f.stored() {
			if len(p.Parents) == 2 {
				return p
			}
		}
		return changestream.Partition{}
	}
	f.until("the child is known", func() bool { return child().Token != "" })
	f.until("both parents have ended", func() bool {
		return !slices.ContainsFunc(f.stored(), func(p changestream.Partition) bool { return len(p.Parents) == 0 && p.End.IsZero() })
	})
	commits := b.stream.Stats().Commits.Load()
	f.until("leases are renewed", func() bool { return b.stream.Stats().Commits.Load() > commits+5 })
	if c := child(); c.State != changestream.Created {
		t.Errorf("the child is %s, by %s", c.State, c.Owner)
	}
	a.leave() // in order: what it has published, nobody has to publish again
	f.everything()
	b.leave()
}
