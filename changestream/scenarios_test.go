package changestream_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
)

// stored is what the store holds of the partitions.
func (f *fixture) stored() []changestream.Partition {
	f.Helper()
	view, err := f.store.View(context.Background())
	must(f, err)
	return view.Partitions
}

// replant makes a store with these partitions, nobody's, for the next run.
func (f *fixture) replant(partitions []changestream.Partition) {
	f.Helper()
	for i := range partitions {
		partitions[i].Owner, partitions[i].Expiry = "", time.Time{}
	}
	f.store = checkpoint.NewMemory(f.server.Now)
	_, err := f.store.Commit(context.Background(), changestream.Commit{Owner: "test", Now: f.server.Now(), Roots: partitions})
	must(f, err)
	f.opt.Store, f.opt.Replica.ID = f.store, "another"
}

// Scenario 6: windows that are over before anything of them was read. What is
// read next begins where the last record was, and not where the window ended.
func TestStream_ALateWindowSkipsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Faults: emulator.Faults{FrameDelay: 30 * time.Millisecond, OneRowPerFrame: true}})
	f.opt.QueryWindow = time.Millisecond
	f.run()
	f.commit(60)
	f.until("many windows", func() bool { return f.stream.Stats().Queries.Load() > 20 })
	f.server.SetFaults(emulator.Faults{})
	f.commit(10)
	if twice := f.everything(); twice > 0 {
		t.Errorf("%d changes came twice", twice)
	}
	must(t, f.stop())
}

// Scenario 7: what is interrupted in the middle is not finished.
func TestStream_AnInterruptedPartitionIsNotFinished(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Faults: emulator.Faults{FrameDelay: 5 * time.Millisecond, OneRowPerFrame: true}})
	f.run()
	f.commit(40)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Split, ""))
	last := f.commit(40)
	f.until("some is read", func() bool { return f.stream.Stats().Records.Load() > 10 })
	must(t, f.stop())
	for _, p := range f.stored() {
		if p.State == changestream.Finished && p.Position.Before(p.End) || p.Owner != "" {
			t.Errorf("%+v", p)
		}
	}
	f.server.SetFaults(emulator.Faults{Fail: codes.Canceled, FailAfter: 2})
	f.opt.Replica.ID = "another"
	f.run()
	f.until("it is cancelled", func() bool { return f.stream.Stats().Retries.Load() > 3 })
	f.server.SetFaults(emulator.Faults{})
	f.check(last)
	must(t, f.stop())
}

// Scenario 9: the rows of finished parents are gone before their child began, and
// the child is older than what the stream keeps when somebody comes to read it.
func TestStream_AChildStartsThoughItsParentsRowsAreGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.OnGapPolicy = changestream.GapSkip
	f.run()
	f.check(f.commit(10))
	must(t, f.server.Churn(testDatabase, testStream, emulator.Merge, ""))
	f.check(f.commit(10))
	must(t, f.stop())
	var child []changestream.Partition
	for _, p := range f.stored() {
		if len(p.Parents) == 2 {
			p.State, p.Position, p.Epoch = changestream.Created, p.Start, 0
			child = append(child, p)
		}
	}
	if len(child) != 1 {
		t.Fatalf("%d children", len(child))
	}
	f.replant(child)
	f.server.Advance(25 * time.Hour)
	f.run()
	f.check(f.commit(10))
	must(t, f.stop())
}

// A slowSink publishes when it is told to.
type slowSink struct {
	*recorder
	mu    sync.Mutex
	marks []changestream.Mark
}

func (s *slowSink) Flush(_ context.Context, m changestream.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = append(s.marks, m)
	return nil
}

func (s *slowSink) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.marks {
		m.Progress.Published(m)
	}
	s.marks = nil
}

// Scenario 10: what was read and is not published yet is not behind the stored
// position, however much is on its way.
func TestStream_PositionsStayBehindWhatWasPublished(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	sink := &slowSink{recorder: f.sink}
	f.opt.NewSink = func(changestream.Partition) changestream.Sink { return sink }
	f.run()
	first := f.commit(1)
	f.commit(29)
	f.until("all is read", func() bool { return f.stream.Stats().Records.Load() == 30 })
	commits := f.stream.Stats().Commits.Load()
	f.until("positions were saved", func() bool { return f.stream.Stats().Commits.Load() > commits+5 })
	for _, p := range f.stored() {
		if !p.Position.Before(first) {
			t.Errorf("the position %s is behind the change of %s, which was not published", p.Position, first)
		}
	}
	sink.publish()
	f.until("the position is saved", func() bool {
		return slices.ContainsFunc(f.stored(), func(p changestream.Partition) bool { return p.Position.After(first) })
	})
	must(t, f.stop())
}

// Scenario 12: nothing happens for longer than the stream keeps anything, but
// heartbeats are saved: a restart finds no gap.
func TestStream_AQuietStreamOutlivesItsRetention(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.Lease = 300 * time.Millisecond
	f.run()
	f.check(f.commit(10))
	for range 4 {
		f.server.Advance(10 * time.Hour)
		now := f.server.Now()
		f.until("positions are saved", func() bool {
			return !slices.ContainsFunc(f.stored(), func(p changestream.Partition) bool { return p.Position.Before(now) })
		})
	}
	must(t, f.stop())
	f.opt.Replica.ID = "another"
	f.run()
	f.check(f.commit(10))
	if n := f.stream.Stats().Gaps.Load(); n > 0 {
		t.Errorf("%d gaps", n)
	}
	must(t, f.stop())
}

// Scenario 13: one partition is older than retention. It stops, and is announced;
// the others go on.
func TestStream_AGapIsThatOfOnePartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.check(f.commit(10))
	must(t, f.stop())
	f.server.Advance(25 * time.Hour)
	partitions := f.stored()
	tokens, err := f.server.Partitions(testDatabase, testStream)
	must(t, err)
	for i := range partitions {
		if string(partitions[i].Token) == tokens[0] { // the rows are there
			partitions[i].Position = f.server.Now()
		}
	}
	f.replant(partitions)
	f.run()
	gap := <-f.gaps
	f.commit(10)
	f.until("the others are read", func() bool { return len(f.sink.row(9)) == 2 })
	if string(gap.Partition) == tokens[0] || len(f.stream.Trouble()) != 1 || f.stream.Stats().Gaps.Load() != 1 {
		t.Errorf("gap %+v, trouble %q, %d gaps", gap, f.stream.Trouble(), f.stream.Stats().Gaps.Load())
	}
	must(t, f.stop())
}

// Scenario 14: a position behind the end of the partition, whose children are on
// record, is the end of the partition, and no gap.
func TestStream_APositionBehindTheEndIsTheEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.check(f.commit(10))
	must(t, f.server.Churn(testDatabase, testStream, emulator.Merge, ""))
	f.check(f.commit(10))
	must(t, f.stop())
	partitions := f.stored()
	for i, p := range partitions {
		if len(p.Parents) == 0 {
			partitions[i].State, partitions[i].End, partitions[i].FinishedAt = changestream.Running, time.Time{}, time.Time{}
			partitions[i].Position = p.End.Add(time.Millisecond)
		} else {
			partitions[i].State, partitions[i].Epoch = changestream.Created, 0
		}
	}
	f.replant(partitions)
	f.run()
	f.check(f.commit(10))
	f.until("the parents are finished", func() bool {
		return !slices.ContainsFunc(f.stored(), func(p changestream.Partition) bool { return len(p.Parents) == 0 && p.State != changestream.Finished })
	})
	if n := f.stream.Stats().Gaps.Load(); n > 0 {
		t.Errorf("%d gaps", n)
	}
	must(t, f.stop())
}

// Scenario 15: the configured start is older than retention by now; positions are
// on record, so nobody asks for it.
func TestStream_PositionsCountMoreThanTheConfiguredStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.check(f.commit(10))
	must(t, f.stop())
	f.opt.Start = func(now time.Time) time.Time { return now.Add(-100 * time.Hour) }
	f.opt.Replica.ID = "another"
	f.run()
	f.check(f.commit(10))
	if n := f.sink.twice(); n > 0 {
		t.Errorf("%d changes came twice", n)
	}
	must(t, f.stop())
}

// Scenario 18: a thousand partitions in one process. All are read, on as many
// connections as that takes, and every lease is renewed in time, in commits that
// are for all of them. With the race detector there are fewer.
func TestStream_ReadsAThousandPartitions(t *testing.T) {
	partitions := 1000
	if raceEnabled {
		partitions = 200
	}
	f := newFixture(t, emulator.Options{Partitions: partitions, MinHeartbeat: 500 * time.Millisecond})
	const metadata = "projects/p/instances/i/databases/metadata"
	must(t, f.server.CreateDatabase(metadata, emulator.GoogleSQL, checkpoint.DDL("Test", changestream.GoogleSQL)...))
	client, err := spanner.NewClientWithConfig(context.Background(), metadata, spanner.ClientConfig{DisableNativeMetrics: true}, f.server.ClientOptions()...)
	must(t, err)
	t.Cleanup(client.Close)
	store := checkpoint.NewSpanner(client, f.opt.Info, "Test")
	var connections atomic.Int32
	f.opt.Store, f.opt.Heartbeat, f.opt.CheckpointInterval, f.opt.Lease = store, 500*time.Millisecond, time.Second, 10*time.Second
	connect := f.opt.Dial.Connect
	f.opt.Dial.Connect = func(ctx context.Context) (net.Conn, error) {
		connections.Add(1)
		return connect(ctx)
	}
	f.run()
	f.until("all are read", func() bool {
		return f.stream.Owned() == partitions && f.server.Queries(testDatabase, testStream) == partitions
	})
	began, commits := time.Now(), f.stream.Stats().Commits.Load()
	f.check(f.commit(10))
	f.until("every lease was renewed", func() bool {
		view, err := store.View(context.Background())
		must(t, err)
		return !slices.ContainsFunc(view.Partitions, func(p changestream.Partition) bool {
			return p.Expiry.Before(p.CreatedAt.Add(f.opt.Lease + 2*time.Second))
		})
	})
	if n, want := int(connections.Load()), 4+(partitions-4*16)/50; n < want || n > want+2 || f.stream.Stats().LeasesLost.Load() > 0 {
		t.Errorf("%d connections, %d leases lost", n, f.stream.Stats().LeasesLost.Load())
	}
	n, passed := f.stream.Stats().Commits.Load()-commits, time.Since(began)
	if limit := int64(passed/time.Second)*5/4 + 2; n > limit {
		t.Errorf("%d commits in %s", n, passed)
	}
	t.Logf("%d commits in %s, %d heartbeats", n, passed.Round(time.Millisecond), f.stream.Stats().Heartbeats.Load())
	must(t, f.stop())
}
