package conformance

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// RunQueries is the part of section H that needs partitions that live on: give
// it a server whose partitions live for at least some seconds.
func RunQueries(t *testing.T, server Server) {
	runAPI(t, server, []apiCase{
		{88, "InitialQueryListsPartitions", both(), initialQuery},
		{93, "QuietIntervalIsOneHeartbeat", both(), func(ctx context.Context, t *testing.T, f *fixture) {
			_, idle := f.holder(ctx, t)
			f.expect(ctx, t, Query{Start: f.commit, End: f.commit.Add(time.Microsecond), Token: idle}, tally{heartbeats: 1})
		}},
		{94, "InstantIsOneHeartbeat", both(), func(ctx context.Context, t *testing.T, f *fixture) {
			_, idle := f.holder(ctx, t)
			f.expect(ctx, t, Query{Start: f.commit, End: f.commit, Token: idle}, tally{heartbeats: 1})
		}},
		{95, "FutureInstantIsWaitedFor", both(), func(ctx context.Context, t *testing.T, f *fixture) {
			_, idle := f.holder(ctx, t)
			at := f.commit.Add(time.Second)
			got := f.expect(ctx, t, Query{Start: at, End: at, Token: idle}, tally{heartbeats: 1})
			if !got[0].Heartbeat.Equal(at) {
				t.Errorf("heartbeat %s, want the end timestamp %s", got[0].Heartbeat, at)
			}
		}},
		{96, "HeartbeatCarriesTheEnd", both(), func(ctx context.Context, t *testing.T, f *fixture) {
			_, idle := f.holder(ctx, t)
			end := f.commit.Add(500 * time.Microsecond)
			got := f.expect(ctx, t, Query{Start: f.commit, End: end, Token: idle}, tally{heartbeats: 1})
			if !got[0].Heartbeat.Equal(end) {
				t.Errorf("heartbeat %s, want %s", got[0].Heartbeat, end)
			}
		}},
		{99, "CommitDuringTheQueryIsSeen", both(), commitDuringQuery},
		{101, "AlteredStreamSwitchesTables", both(), alteredStream},
		{102, "DropForAllSilences", both(), droppedForAll},
		{103, "DroppedStreamEndsItsQueries", both(), droppedStream},
		{104, "IntervalsAreInclusive", both(), inclusive},
		{166, "RowsComeAsTheyOccur", []Dialect{GoogleSQL}, liveThroughClient},
	})
}

func initialQuery(ctx context.Context, t *testing.T, f *fixture) {
	got := f.expect(ctx, t, Query{Start: f.before}, tally{children: 2})
	seen := map[string]bool{}
	for i, want := range []string{"00000000", "00000001"} {
		child := got[i].Child
		if child.Sequence != want || !child.Start.Equal(f.before) || len(child.Partitions) != 1 || len(child.Partitions[0].Parents) != 0 {
			t.Errorf("row %d: %+v, want sequence %s, start %s, one child, no parents", i, *child, want, f.before)
		}
		seen[child.Partitions[0].Token] = true
	}
	if len(seen) != 2 {
		t.Errorf("tokens %v are not distinct", seen)
	}
}

func commitDuringQuery(ctx context.Context, t *testing.T, f *fixture) {
	holder, _ := f.holder(ctx, t)
	first := f.commit
	failed := make(chan error, 1)
	n := tally{}
	err := RunQuery(ctx, f.conn, Query{Stream: f.stream, Start: first, End: first.Add(2 * time.Second), Token: holder}, func(row Row) error {
		got := count([]Row{row})
		n = tally{n.data + got.data, n.heartbeats + got.heartbeats, n.children + got.children}
		if n.data == 1 && got.data == 1 {
			go func() { failed <- f.put(ctx, "test_table", 2) }()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if n != (tally{data: 2}) {
		t.Errorf("got %+v, want two data records and nothing else", n)
	}
}

// alteredStream and droppedForAll read a partition over a change of the
// stream's FOR clause.
func alteredStream(ctx context.Context, t *testing.T, f *fixture) {
	if err := f.alter(ctx, "ALTER CHANGE STREAM test_stream SET FOR test_table2"); err != nil {
		t.Fatal(err)
	}
	f.putBoth(ctx, t)
	tables := f.tablesAt(ctx, t, f.commit)
	if len(tables) != 1 || tables[0] != "test_table2" {
		t.Errorf("recorded %v, want test_table2 only", tables)
	}
}

func droppedForAll(ctx context.Context, t *testing.T, f *fixture) {
	if err := f.alter(ctx, "ALTER CHANGE STREAM test_stream DROP FOR ALL"); err != nil {
		t.Fatal(err)
	}
	f.putBoth(ctx, t)
	if tables := f.tablesAt(ctx, t, f.commit); len(tables) != 0 {
		t.Errorf("recorded %v, want nothing", tables)
	}
}

// putBoth inserts into the first table, then into the second one.
func (f *fixture) putBoth(ctx context.Context, t *testing.T) {
	t.Helper()
	first := f.commit
	for _, table := range []string{"test_table", "test_table2"} {
		if err := f.put(ctx, table, 7); err != nil {
			t.Fatal(err)
		}
	}
	f.before = first.Add(time.Microsecond)
}

// tablesAt lists the tables of all records between f.before and to.
func (f *fixture) tablesAt(ctx context.Context, t *testing.T, to time.Time) []string {
	t.Helper()
	roots, err := f.rows(ctx, Query{Start: f.before})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, token := range tokens(roots) {
		got, err := f.rows(ctx, Query{Start: f.before, End: to, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range got {
			if row.Data != nil {
				out = append(out, row.Data.Table)
			}
		}
	}
	return out
}

func droppedStream(ctx context.Context, t *testing.T, f *fixture) {
	_, idle := f.holder(ctx, t)
	ended := make(chan error, 1)
	go func() {
		_, err := f.rows(ctx, Query{Start: time.Now().Add(2 * time.Second), Token: idle})
		ended <- err
	}()
	if err := f.alter(ctx, "DROP CHANGE STREAM test_stream"); err != nil {
		t.Fatal(err)
	}
	if code := status.Code(<-ended); code != codes.NotFound && code != codes.InvalidArgument {
		t.Errorf("query ended with %v, want NOT_FOUND or INVALID_ARGUMENT", code)
	}
}

func inclusive(ctx context.Context, t *testing.T, f *fixture) {
	holder, _ := f.holder(ctx, t)
	c0 := f.commit
	var later []time.Time
	for id := int64(2); id <= 3; id++ {
		if err := f.put(ctx, "test_table", id); err != nil {
			t.Fatal(err)
		}
		later = append(later, f.commit)
	}
	c1, c2 := later[0], later[1]
	got := f.expect(ctx, t, Query{Start: c0, End: c2, Token: holder}, tally{data: 3})
	for i, want := range []time.Time{c0, c1, c2} {
		if !got[i].Data.CommitTimestamp.Equal(want) {
			t.Errorf("record %d at %s, want %s", i, got[i].Data.CommitTimestamp, want)
		}
	}
	f.expect(ctx, t, Query{Start: c1, End: c1, Token: holder}, tally{data: 1})
	end := c2.Add(-time.Microsecond)
	got = f.expect(ctx, t, Query{Start: c1.Add(time.Microsecond), End: end, Token: holder}, tally{heartbeats: 1})
	if !got[0].Heartbeat.Equal(end) {
		t.Errorf("heartbeat %s, want %s", got[0].Heartbeat, end)
	}
}

// liveThroughClient reads an endless query with the Go client, which hands a
// row on only when the resume token changes.
func liveThroughClient(ctx context.Context, t *testing.T, f *fixture) {
	if f.server.Kind == Google {
		t.Skip("not on Google's emulator: one constant resume token, so the client holds rows back (production: rows as they occur)")
	}
	holder, _ := f.holder(ctx, t)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	iterator := f.client.Single().Query(ctx, clientQuery(f.stream, f.commit, holder))
	defer iterator.Stop()
	for id := int64(2); id <= 4; id++ {
		if _, err := iterator.Next(); err != nil {
			t.Fatalf("row %d: %v", id-2, err)
		}
		if err := f.put(ctx, "test_table", id); err != nil {
			t.Fatal(err)
		}
	}
}
