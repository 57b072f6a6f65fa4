package changestream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
)

func TestStream_ReadsEveryShapeThatAnswersMayHave(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]emulator.Faults{
		"as usual":                {},
		"null arrays":             {NullArrays: true},
		"[NULL] parents":          {NullParents: true},
		"children one by one":     {SeparateChildren: true},
		"values in pieces":        {ChunkSize: 40},
		"one row a frame":         {OneRowPerFrame: true},
		"no resume tokens":        {NoResumeTokens: true},
		"one token for all":       {ConstantResumeTokens: true},
		"commits share timestamp": {SharedTimestamps: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, emulator.Options{Faults: faults, ChurnEvery: 100 * time.Millisecond})
			f.run()
			var last time.Time
			for range 20 {
				last = f.commit(10)
			}
			f.check(last)
			if n := f.sink.twice(); n > 0 {
				t.Errorf("%d changes came twice, though nothing failed", n)
			}
			must(t, f.stop())
		})
	}
}

// Scenario 16: transient errors are retried in the partition, from its position.
func TestStream_RetriesTransientErrorsFromThePosition(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.ResourceExhausted, codes.Aborted, codes.Unknown, codes.Canceled} {
		t.Run(code.String(), func(t *testing.T) {
			f := newFixture(t, emulator.Options{Faults: emulator.Faults{SharedTimestamps: true, OneRowPerFrame: true}, ChurnEvery: 300 * time.Millisecond})
			f.run()
			f.commit(20)
			f.server.SetFaults(emulator.Faults{Fail: code, FailAfter: 3, SharedTimestamps: true, OneRowPerFrame: true})
			f.commit(30)
			f.until("queries fail", func() bool { return f.stream.Stats().Retries.Load() > 2 })
			f.server.SetFaults(emulator.Faults{SharedTimestamps: true})
			f.check(f.commit(10))
			if n := f.sink.twice(); n > 0 {
				t.Errorf("%d changes came twice: a query that is opened again must leave out what came", n)
			}
			must(t, f.stop())
		})
	}
}

// Scenario 4: a query that ends cleanly, without a child record and before its
// time, does not end the partition.
func TestStream_AnEarlyEndIsNotTheEndOfAPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Faults: emulator.Faults{NoChildRecord: true}})
	f.run()
	f.commit(20)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Step, ""))
	f.until("early ends", func() bool { return f.stream.Stats().EarlyEnds.Load() > 3 })
	last := f.commit(20) // goes to partitions that nobody has been told of
	view, err := f.store.View(context.Background())
	must(t, err)
	for _, p := range view.Partitions {
		if p.State == changestream.Finished || !p.End.IsZero() {
			t.Errorf("partition %s counts as ended", p.Token.Short())
		}
	}
	f.server.SetFaults(emulator.Faults{})
	f.check(last)
	must(t, f.stop())
}

// Scenario 5: a query that ends at its end is followed by the next one.
func TestStream_OneWindowFollowsAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.QueryWindow = 100 * time.Millisecond
	f.run()
	var last time.Time
	for n := int64(1); f.stream.Stats().Queries.Load() < 20; n++ {
		last = f.commit(1)
		f.resolved(last)
	}
	f.check(last)
	if early := f.stream.Stats().EarlyEnds.Load(); early > 0 || f.sink.twice() > 0 {
		t.Errorf("%d ends count as early, %d changes came twice", early, f.sink.twice())
	}
	must(t, f.stop())
}

// Scenario 17: a query that falls silent is given up and opened again.
func TestStream_ASilentQueryIsOpenedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.QueryWindow = 300 * time.Millisecond
	f.run()
	f.commit(5)
	f.server.SetFaults(emulator.Faults{Silent: true})
	last := f.commit(5)
	f.until("a stall is noticed", func() bool { return f.stream.Stats().Stalls.Load() > 0 })
	f.server.SetFaults(emulator.Faults{})
	f.check(last)
	must(t, f.stop())
}

func TestStream_OutlivesARestartOfSpanner(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{ChurnEvery: 200 * time.Millisecond})
	f.run()
	for range 3 {
		f.commit(20)
		must(t, f.server.Restart(context.Background()))
		f.commit(20)
	}
	f.check(f.commit(1))
	must(t, f.stop())
}

// Scenarios 1 and 2 with real partitions: splits, merges and moves while rows
// change, in many generations.
func TestStream_KeepsOrderPerKeyOverSplitsMergesAndMoves(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 5})
	f.run()
	var last time.Time
	for i := range 120 {
		last = f.commit(5)
		kind := []emulator.Change{emulator.Split, emulator.Merge, emulator.Move, emulator.Step}[i%4]
		if err := f.server.Churn(testDatabase, testStream, kind, ""); err != nil && !errors.Is(err, emulator.ErrChurn) {
			t.Fatal(err)
		}
	}
	f.check(last)
	if f.sink.twice() > 0 {
		t.Errorf("%d changes came twice", f.sink.twice())
	}
	must(t, f.stop())
}

// A restart goes on from the saved positions, over generations that came and
// went meanwhile, and finishes what had ended.
func TestStream_GoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{ChurnEvery: 50 * time.Millisecond})
	var last time.Time
	for i := range 4 {
		f.opt.Replica.ID = fmt.Sprint("replica-", i)
		f.run()
		f.commit(20)
		must(t, f.stop())
		last = f.commit(20)
	}
	f.opt.Replica.ID = "the last"
	f.run()
	f.check(last)
	must(t, f.stop())
	view, err := f.store.View(context.Background())
	must(t, err)
	for _, p := range view.Partitions {
		if p.Owner != "" {
			t.Errorf("partition %s was not given back", p.Token.Short())
		}
	}
}

// Scenario 13, stop: a position that is older than what the stream keeps stops
// that partition, with an announcement, and the others go on.
func TestStream_AGapStopsThePartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.commit(10)
	must(t, f.stop())
	f.commit(10)
	f.server.Advance(25 * time.Hour)
	f.opt.Replica.ID = "another"
	f.opt.Lease = 2 * time.Second
	f.run()
	f.until("trouble", func() bool { return len(f.stream.Trouble()) == 2 })
	gap := <-f.gaps
	if gap.Policy != changestream.GapStop || !gap.From.Before(gap.To) || f.stream.Stats().Gaps.Load() != 2 {
		t.Errorf("%+v, %d gaps", gap, f.stream.Stats().Gaps.Load())
	}
	if why := f.stream.Trouble()[0]; !strings.Contains(why, "the change stream keeps what came after") {
		t.Errorf("trouble %q", why)
	}
	must(t, f.stop())
}

// Scenario 13, skip: the partition goes on at the oldest time that can be read.
func TestStream_AGapIsSkipped(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.OnGapPolicy = changestream.GapSkip
	f.run()
	f.check(f.commit(10))
	must(t, f.stop())
	f.commit(10)
	lost := f.rows
	f.server.Advance(25 * time.Hour)
	f.opt.Replica.ID = "another"
	f.run()
	for range 2 {
		if gap := <-f.gaps; gap.Policy != changestream.GapSkip || !gap.From.Before(gap.To) {
			t.Errorf("%+v", gap)
		}
	}
	f.resolved(f.commit(10))
	for id := range lost {
		got, want := f.sink.row(id), f.rows[id]
		if want = slices.Delete(slices.Clone(want), 1, 2); !slices.Equal(got, want) { // without the version in the gap
			t.Errorf("row %d: read %q, want %q", id, got, want)
		}
	}
	must(t, f.stop())
}

// Scenario 13 once more: the partition itself ended beyond retention, and so did
// its children. The stream is taken up with the partitions of the oldest time.
func TestStream_AGapLongerThanThePartitionIsSkipped(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.OnGapPolicy = changestream.GapSkip
	f.run()
	f.check(f.commit(10))
	must(t, f.stop())
	for range 3 {
		must(t, f.server.Churn(testDatabase, testStream, emulator.Step, ""))
		f.commit(10)
	}
	f.server.Advance(25 * time.Hour)
	f.opt.Replica.ID = "another"
	f.run()
	f.resolved(f.commit(10))
	for id := range f.rows {
		if got := f.sink.row(id); !slices.Equal(got, []string{"1", "5"}) {
			t.Errorf("row %d: read %q", id, got)
		}
	}
	must(t, f.server.Churn(testDatabase, testStream, emulator.Step, ""))
	f.resolved(f.commit(10))
	must(t, f.stop())
}

// D10: what cannot be read is alone in it.
func TestStream_AForeignTokenIsAloneInItsTrouble(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.check(f.commit(10))
	must(t, f.stop())
	view, err := f.store.View(context.Background())
	must(t, err)
	roots := append(view.Partitions, changestream.Partition{Token: "of another stream", Start: view.Now, Position: view.Now, State: changestream.Created})
	for i := range roots {
		roots[i].Owner, roots[i].Expiry = "", time.Time{}
	}
	f.store = checkpoint.NewMemory(f.server.Now)
	_, err = f.store.Commit(context.Background(), changestream.Commit{Owner: "test", Now: view.Now, Roots: roots})
	must(t, err)
	f.opt.Store, f.opt.Replica.ID = f.store, "another"
	f.run()
	f.until("trouble", func() bool { return len(f.stream.Trouble()) == 1 })
	if why := f.stream.Trouble()[0]; !strings.Contains(why, "is not of this change stream") {
		t.Errorf("trouble %q", why)
	}
	f.commit(10)
	f.until("the others are read", func() bool { return len(f.sink.row(9)) == 2 })
	must(t, f.stop())
}

func TestStream_EndsWhenTheStreamIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.commit(1)
	_, err := f.server.Partitions(testDatabase, testStream)
	must(t, err)
	alter(f, "DROP CHANGE STREAM "+testStream)
	if err := f.ended(); changestream.CauseOf(err) != changestream.NoStream {
		t.Fatalf("got %v", err)
	}
}

func TestStream_RefusesAStartThatIsTooEarly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.opt.Start = func(now time.Time) time.Time { return now.Add(-100 * time.Hour) }
	var err error
	f.stream, err = changestream.New(f.opt)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.stream.Run(ctx); changestream.CauseOf(err) != changestream.PositionTooOld {
		t.Fatalf("got %v", err)
	}
}
