package changestream_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
)

// A peer is one of several replicas that read the stream of a fixture. What they
// publish comes together in the fixture's recorder, as at a subscriber of all.
type peer struct {
	f      *fixture
	id     string
	stream *changestream.Stream
	store  *troubledStore
	cancel context.CancelFunc
	result chan error
}

// join starts a replica, and waits until the stream is being read by somebody.
func (f *fixture) join(id string, change ...func(*changestream.Options)) *peer {
	f.Helper()
	p := &peer{f: f, id: id, store: &troubledStore{Memory: f.store}, result: make(chan error, 1)}
	o := f.opt
	o.Replica.ID, o.Store, o.NewSink = id, p.store, f.fencing
	for _, c := range change {
		c(&o)
	}
	var err error
	p.stream, err = changestream.New(o)
	must(f, err)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() { p.result <- p.stream.Run(ctx) }()
	f.Cleanup(p.cancel)
	if f.stream == nil {
		f.stream = p.stream
	}
	f.until("reading begins, from now on", func() bool { return len(f.stored()) > 0 })
	return p
}

// leave stops a replica in order.
func (p *peer) leave() {
	p.f.Helper()
	p.cancel()
	select {
	case err := <-p.result:
		must(p.f, err)
	case <-time.After(patience):
		p.f.Fatalf("%s did not end", p.id)
	}
}

// owners waits until the replicas own that many partitions each, as the store
// has it.
func (f *fixture) owners(want map[string]int) {
	f.Helper()
	got := make(map[string]int)
	defer func() {
		if f.Failed() {
			f.Logf("owners %v, want %v", got, want)
		}
	}()
	f.until(fmt.Sprint("owners ", want), func() bool {
		clear(got)
		view, err := f.store.View(context.Background())
		must(f, err)
		for _, p := range view.Partitions {
			if p.State != changestream.Finished && p.Owner != "" {
				got[p.Owner]++
			}
		}
		return maps.Equal(got, want)
	})
}

// everything waits until all that was committed has come, and compares: each
// version, in order per row. It returns how many changes came twice.
func (f *fixture) everything() int {
	f.Helper()
	defer f.explain()
	f.until("every change", func() bool {
		for id, want := range f.rows {
			if len(f.sink.row(id)) < len(want) {
				return false
			}
		}
		return true
	})
	for id, want := range f.rows {
		if got := f.sink.row(id); !slices.Equal(got, want) {
			f.Errorf("row %d: read %q, committed %q", id, got, want)
		}
	}
	return f.sink.twice()
}

// explain logs what the store holds, when the test has failed.
func (f *fixture) explain() {
	if !f.Failed() {
		return
	}
	view, _ := f.store.View(context.Background())
	for _, p := range view.Partitions {
		if p.State != changestream.Finished {
			f.Logf("%s: %+v", view.Now, p)
		}
	}
	f.Logf("replicas %+v", view.Replicas)
}

// fencing makes a sink that publishes as the publisher does: a batch whose lease
// has run out is thrown away.
func (f *fixture) fencing(changestream.Partition) changestream.Sink {
	return &fencing{recorder: f.sink}
}

type fencing struct {
	*recorder
	take []func() error
}

// Change implements changestream.Sink.
func (s *fencing) Change(rec *changestream.DataChangeRecord) error {
	r := *rec
	r.Mods = nil
	for _, m := range rec.Mods {
		r.Mods = append(r.Mods, changestream.Mod{Keys: slices.Clone(m.Keys), NewValues: slices.Clone(m.NewValues), OldValues: slices.Clone(m.OldValues)})
	}
	r.ServerTransactionID, r.RecordSequence = slices.Clone(rec.ServerTransactionID), slices.Clone(rec.RecordSequence)
	s.take = append(s.take, func() error { return s.recorder.Change(&r) })
	return nil
}

// Flush implements changestream.Sink.
func (s *fencing) Flush(_ context.Context, m changestream.Mark) error {
	defer func() { s.take = s.take[:0] }()
	for _, take := range s.take {
		if !m.Progress.Alive() {
			return nil
		}
		if err := take(); err != nil {
			return err
		}
	}
	if m.Progress.Alive() {
		m.Progress.Published(m)
	}
	return nil
}

// A troubledStore is a store that cannot be reached at times.
type troubledStore struct {
	*checkpoint.Memory
	down atomic.Bool  // nothing gets there
	mute atomic.Int64 // of so many commits every second is applied, and its answer lost
}

var errDown = changestream.Classify("reach", "the store", status.Error(codes.Unavailable, "down"))

func (s *troubledStore) View(ctx context.Context) (changestream.View, error) {
	if s.down.Load() {
		return changestream.View{}, errDown
	}
	return s.Memory.View(ctx)
}

func (s *troubledStore) Present(ctx context.Context) ([]string, error) {
	if s.down.Load() {
		return nil, errDown
	}
	return s.Memory.Present(ctx)
}

func (s *troubledStore) Commit(ctx context.Context, c changestream.Commit) (changestream.Result, error) {
	if s.down.Load() {
		return changestream.Result{}, errDown
	}
	r, err := s.Memory.Commit(ctx, c)
	if s.mute.Add(-1)%2 == 1 {
		return changestream.Result{}, errDown
	}
	return r, err
}

// Scenario 20: one replica, then three, then two, then one. Partitions are
// shared evenly, and every change comes, in order per row.
func TestFleet_SharesPartitionsAsReplicasComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 12})
	f.opt.Lease = 5 * time.Minute // whoever waited for a lease to run out would wait for ever
	a := f.join("a")
	f.owners(map[string]int{"a": 12})
	f.commit(20)
	b, c := f.join("b"), f.join("c")
	f.commit(20)
	f.owners(map[string]int{"a": 4, "b": 4, "c": 4})
	f.commit(20)
	a.leave()
	f.commit(20)
	f.owners(map[string]int{"b": 6, "c": 6})
	b.leave()
	f.owners(map[string]int{"c": 12})
	f.commit(20)
	f.everything()
	if lost := b.stream.Stats().LeasesLost.Load() + c.stream.Stats().LeasesLost.Load(); lost > 0 {
		t.Errorf("%d leases were lost, though nobody died", lost)
	}
	c.leave()
}

// Scenario 19, without processes: a replica that reaches the store no more stops
// publishing by its own clock, another takes over, and when the first is back it
// takes part again.
func TestFleet_ACutOffReplicaIsFencedAndComesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 6})
	f.opt.Lease = time.Second
	a, b := f.join("a"), f.join("b")
	f.until("both read", func() bool { return a.stream.Owned() > 0 && b.stream.Owned() > 0 })
	f.commit(20)
	a.store.down.Store(true)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Step, ""))
	f.until("the other has all", func() bool { return f.owner("a") == 0 && f.owner("b") > 0 })
	f.commit(20)
	f.everything()
	a.store.down.Store(false)
	f.until("the first takes part again", func() bool { return f.owner("a") > 0 && a.stream.Stats().LeasesLost.Load() > 0 })
	f.commit(20)
	f.everything()
	a.leave()
	b.leave()
}

// Scenario 21: while the store cannot be reached, partitions are published
// within their leases only; after that they go on where they were, and nothing
// that was thrown away meanwhile is missed.
func TestStream_GoesOnWithoutAHoleWhenTheStoreIsBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.Lease = time.Second
	p := f.join("me")
	f.until("it reads", func() bool { return p.stream.Owned() > 0 })
	for range 3 {
		f.commit(10)
		p.store.down.Store(true)
		lost := p.stream.Stats().LeasesLost.Load()
		f.until("batches are thrown away", func() bool {
			f.commit(1)
			return p.stream.Stats().LeasesLost.Load() > lost
		})
		f.commit(5)
		p.store.down.Store(false)
		f.commit(5)
		f.everything()
	}
	p.leave()
}

// A commit whose answer is lost may have been applied: what it took, stored or
// handed over is found in the next look.
func TestFleet_AnswersOfTheStoreMayBeLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 6})
	f.opt.Lease = time.Second
	replicas := []*peer{f.join("a"), f.join("b")}
	for _, p := range replicas {
		p.store.mute.Store(1 << 40)
	}
	for i := range 40 {
		f.commit(5)
		if i%4 == 3 {
			must(t, f.server.Churn(testDatabase, testStream, emulator.Step, ""))
		}
		f.everything()
		if i == 20 {
			replicas = append(replicas, f.join("c"))
		}
	}
	for _, p := range replicas {
		p.store.mute.Store(0)
	}
	f.commit(10)
	f.everything()
	for _, p := range replicas {
		p.leave()
	}
}

// MAX_PARTITIONS is kept, and it is said when that leaves something unread.
func TestFleet_SaysWhenNobodyHasRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 8})
	limit := func(n int) func(*changestream.Options) {
		return func(o *changestream.Options) { o.MaxPartitions = n }
	}
	a, b := f.join("a", limit(3)), f.join("b", limit(2))
	f.owners(map[string]int{"a": 3, "b": 2})
	for _, p := range []*peer{a, b} {
		f.until("a reason", func() bool {
			return slices.Equal(p.stream.Trouble(), []string{"nobody reads 3 partitions: all replicas have as many as MAX_PARTITIONS lets them"})
		})
	}
	f.commit(20)
	c := f.join("c")
	f.owners(map[string]int{"a": 3, "b": 2, "c": 3})
	for _, p := range []*peer{a, b, c} {
		f.until("all is well", func() bool { return len(p.stream.Trouble()) == 0 })
	}
	f.everything()
	for _, p := range []*peer{a, b, c} {
		p.leave()
	}
}

// owner counts the partitions that a replica owns, as the store has it.
func (f *fixture) owner(id string) (n int) {
	view, err := f.store.View(context.Background())
	must(f, err)
	for _, p := range view.Partitions {
		if p.State != changestream.Finished && p.Owner == id {
			n++
		}
	}
	return n
}
