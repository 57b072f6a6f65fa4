package conformance

import (
	"context"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// RunPartitionEnds is the part of sections H and K that waits for partitions
// to end: give it a server that churns every second or so.
func RunPartitionEnds(t *testing.T, server Server) {
	runAPI(t, server, []apiCase{
		{92, "EndedPartition", both(), endedPartition},
		{98, "HeartbeatsUntilTheEnd", both(), heartbeatsUntilEnd},
		{109, "EveryCommitOnceOverGenerations", []Dialect{GoogleSQL}, generations},
	})
}

// endedPartition covers what can be asked of a partition that has ended:
// cases 89 to 92, 97, 100, 105 to 108.
func endedPartition(ctx context.Context, t *testing.T, f *fixture) {
	holder, idle := f.holder(ctx, t)
	whole := f.expect(ctx, t, Query{Start: f.commit, Token: holder}, tally{data: 1, children: 1}) // 100
	child := whole[1].Child
	end := child.Start
	run := func(name string, check func(t *testing.T)) { t.Run(name, check) }
	run("097_ChildRecord", func(t *testing.T) {
		if !end.After(f.commit) || child.Sequence != "00000000" || len(child.Partitions) == 0 {
			t.Errorf("child record %+v", *child)
		}
		for _, p := range child.Partitions {
			if p.Token == holder || !reflect.DeepEqual(p.Parents, []string{holder}) {
				t.Errorf("child %+v of %s", p, holder)
			}
		}
	})
	run("089_InitialQueryAfterChurn", func(t *testing.T) {
		got, err := f.rows(ctx, Query{Start: end.Add(time.Microsecond)})
		if err != nil || len(got) < 2 {
			t.Fatalf("%d rows, %v", len(got), err)
		}
		for _, row := range got {
			if row.Child == nil || len(row.Child.Partitions) != 1 || len(row.Child.Partitions[0].Parents) != 0 {
				t.Errorf("row %+v, want one child without parents", row)
			}
		}
		for _, token := range tokens(got) {
			if token == holder || token == idle {
				t.Error("a partition that has ended is listed")
			}
		}
	})
	run("090_StartAtTheEnd", func(t *testing.T) {
		f.expect(ctx, t, Query{Start: end, Token: holder}, tally{children: 1})
		f.expect(ctx, t, Query{Start: end, End: end.Add(time.Minute), Token: holder}, tally{children: 1})
	})
	run("091_LastInstants", func(t *testing.T) {
		f.expect(ctx, t, Query{Start: end.Add(-2 * time.Microsecond), End: end, Token: holder}, tally{children: 1})
	})
	run("092_EndAfterThePartition", func(t *testing.T) {
		f.expect(ctx, t, Query{Start: f.commit, End: end.Add(time.Second), Token: holder}, tally{data: 1, children: 1})
	})
	run("105_StartAfterTheEnd", func(t *testing.T) {
		if _, err := f.rows(ctx, Query{Start: end.Add(time.Microsecond), Token: holder}); status.Code(err) != codes.OutOfRange {
			t.Errorf("got %v, want OUT_OF_RANGE", err)
		}
	})
	run("106_BeforeTheEnd", func(t *testing.T) {
		f.expect(ctx, t, Query{Start: f.commit, End: end.Add(-time.Microsecond), Token: holder}, tally{data: 1})
	})
	run("107_SameQueryTwice", func(t *testing.T) {
		if again := f.expect(ctx, t, Query{Start: f.commit, Token: holder}, tally{data: 1, children: 1}); !reflect.DeepEqual(again, whole) {
			t.Errorf("got %+v, then %+v", whole, again)
		}
	})
	run("108_InitialQueryInThePast", func(t *testing.T) {
		got, err := f.rows(ctx, Query{Start: f.commit})
		if listed := tokens(got); err != nil || len(listed) != 2 || (listed[0] != holder && listed[1] != holder) {
			t.Errorf("got %v %v, want the partitions that were alive then", listed, err)
		}
	})
}

// heartbeatsUntilEnd follows a quiet partition to its end. On a busy machine a
// partition may have ended before the query begins; then a later one is taken.
func heartbeatsUntilEnd(ctx context.Context, t *testing.T, f *fixture) {
	heartbeat := time.Second // production's minimum
	if f.server.Kind == Google {
		heartbeat = 100 * time.Millisecond
	}
	for range 5 {
		start := time.Now()
		if !start.After(f.commit) { // commit timestamps may run a little ahead of the clock
			start = f.commit.Add(time.Microsecond)
		}
		open, err := f.rows(ctx, Query{Start: start})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.rows(ctx, Query{Start: start, Token: tokens(open)[0], Heartbeat: heartbeat})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(got); n.heartbeats > 0 {
			checkHeartbeats(t, got, n, start)
			return
		}
	}
	t.Fatal("no partition lived long enough for a heartbeat")
}

func checkHeartbeats(t *testing.T, got []Row, n tally, at time.Time) {
	t.Helper()
	if n.data != 0 || n.children != 1 || got[len(got)-1].Child == nil {
		t.Fatalf("got %+v, want heartbeats, then a child record: %+v", n, got)
	}
	for _, row := range got[:len(got)-1] {
		if !row.Heartbeat.After(at) {
			t.Errorf("heartbeat %s after %s", row.Heartbeat, at)
		}
		at = row.Heartbeat
	}
}
