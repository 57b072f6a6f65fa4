package changestream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// newMutable makes a fixture whose stream has partitions that live on while
// keys move between them.
func newMutable(t *testing.T, o emulator.Options, d emulator.Dialect) *fixture {
	t.Helper()
	if d == emulator.PostgreSQL {
		return newFixtureOf(t, o, d, `CREATE TABLE "T" ("Id" bigint NOT NULL, "V" bigint, PRIMARY KEY ("Id"))`,
			`CREATE CHANGE STREAM "`+testStream+`" FOR "T" WITH (partition_mode = 'MUTABLE_KEY_RANGE')`)
	}
	return newFixtureOf(t, o, d, `CREATE TABLE T (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`,
		`CREATE CHANGE STREAM `+testStream+` FOR T OPTIONS (partition_mode = 'MUTABLE_KEY_RANGE')`)
}

// churn makes a key-range change, if there can be one now.
func (f *fixture) churn(kind emulator.Change, token string) {
	f.Helper()
	if err := f.server.Churn(testDatabase, testStream, kind, token); err != nil && !errors.Is(err, emulator.ErrChurn) {
		f.Fatal(err)
	}
}

// open lists the partitions that are open, in order of their keys.
func (f *fixture) open() []string {
	f.Helper()
	tokens, err := f.server.Partitions(testDatabase, testStream)
	must(f, err)
	return tokens
}

// A replica is one of several that read the fixture's stream.
type replica struct {
	*fixture
	out  *outlet
	line *lifeline
}

// replica starts one more that reads the stream.
func (f *fixture) replica(id string, most int) *replica {
	f.Helper()
	g := *f
	r := &replica{fixture: &g, out: newOutlet(f.sink), line: &lifeline{Store: f.store}}
	g.opt.Replica.ID, g.opt.MaxPartitions, g.opt.Store, g.opt.NewSink = id, most, r.line, r.out.of
	g.begin()
	return r
}

// kill ends a replica as kill -9 does: nothing is published or saved any more.
func (r *replica) kill() {
	r.Helper()
	r.out.die()
	r.line.set(true, true)
	must(r, r.stop())
}

var dialects = []emulator.Dialect{emulator.GoogleSQL, emulator.PostgreSQL}

// Scenario 25: splits, merges and moves under load, in both dialects, with
// windows so short that boundaries are everywhere, and with queries that fail
// and that end early.
func TestMutable_ReadsEveryChangeOnceOverSplitsMergesAndMoves(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for name, faults := range map[string]emulator.Faults{
			"as usual":              {},
			"queries fail":          {Fail: codes.Unavailable, FailAfter: 3, OneRowPerFrame: true},
			"queries end early":     {EndAfter: 3, OneRowPerFrame: true},
			"values in pieces":      {ChunkSize: 40},
			"timestamps are shared": {SharedTimestamps: true},
		} {
			t.Run(fmt.Sprint(d, " ", name), func(t *testing.T) {
				t.Parallel()
				f := newMutable(t, emulator.Options{Partitions: 3}, d)
				f.opt.QueryWindow = 200 * time.Millisecond
				f.run()
				f.server.SetFaults(faults)
				for i := range 60 {
					f.commit(5)
					f.churn([]emulator.Change{emulator.Split, emulator.Merge, emulator.Move}[i%3], "")
				}
				f.server.SetFaults(emulator.Faults{})
				f.check(f.commit(5))
				if n := f.sink.twice(); n > 0 {
					t.Errorf("%d changes came twice: what stands at the boundary of two queries is to be read once", n)
				}
				must(t, f.stop())
			})
		}
	}
}

// moves are the ways in which keys move: from the partition whose token source
// returns to another one, which then begins or lives already.
var moves = map[emulator.Change]struct {
	before emulator.Change
	source func(open []string) (source, churned string)
}{
	emulator.Split: {source: func(open []string) (string, string) { return open[0], open[0] }},
	emulator.Move:  {source: func(open []string) (string, string) { return open[0], open[0] }},
	emulator.Merge: {before: emulator.Split, source: func(open []string) (string, string) { return open[1], open[0] }},
}

// The order of a key: what its old partition has is published first, however
// far behind that is.
func TestMutable_ADestinationWaitsForItsSource(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for kind, move := range moves {
			t.Run(fmt.Sprint(d, " ", kind), func(t *testing.T) {
				t.Parallel()
				f := newMutable(t, emulator.Options{Partitions: 1}, d)
				r := f.replica("me", 0)
				f.stream = r.stream
				f.until("it reads", func() bool { return r.stream.Owned() == 1 })
				f.commit(10)
				if move.before != "" {
					f.churn(move.before, "")
				}
				f.check(f.commit(10))
				source, churned := move.source(f.open())
				waited := r.stream.Stats().MoveIns.Load()
				r.out.hold(source)
				f.commit(10) // some of it to the source
				must(t, f.server.Churn(testDatabase, testStream, kind, churned))
				last := f.commit(10) // some of it to the destination
				f.until("the destination waits", func() bool { return r.stream.Stats().MoveIns.Load() > waited })
				for id := range 10 {
					if got := f.sink.row(id); slices.Contains(got, "4") && !slices.Contains(got, "3") {
						t.Errorf("row %d: %q was published before what the source had", id, got)
					}
				}
				must(t, f.server.Restart(context.Background())) // its query breaks meanwhile
				if _, fleet := r.stream.Resolved(); fleet.After(last) {
					t.Error("what is held counts as published")
				}
				r.out.release()
				f.check(last)
				must(t, r.stop())
			})
		}
	}
}

// A partition may wait for longer than a query may be silent, and than a lease
// lasts: neither its query nor the partition is given up.
func TestMutable_AWaitIsNotAStall(t *testing.T) {
	t.Parallel()
	f := newMutable(t, emulator.Options{Partitions: 1}, emulator.GoogleSQL)
	f.opt.Heartbeat, f.opt.Lease = time.Second, 5*time.Second
	r := f.replica("me", 0)
	f.stream = r.stream
	f.until("it reads", func() bool { return r.stream.Owned() == 1 })
	source := f.open()[0]
	r.out.hold(source)
	f.commit(10)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Split, source))
	last := f.commit(10)
	f.until("the destination waits", func() bool { return r.stream.Stats().MoveIns.Load() > 0 })
	f.until("time passes", func() bool { return f.server.Now().After(last.Add(7 * time.Second)) })
	r.out.release()
	f.check(last)
	if s := r.stream.Stats(); s.LeasesLost.Load() > 0 || s.Stalls.Load() > 0 {
		t.Errorf("%d leases were lost, %d queries counted as stalled", s.LeasesLost.Load(), s.Stalls.Load())
	}
	must(t, r.stop())
}

// The move-in may be the last that a query brings: the next one begins with it,
// and leaves it out as read.
func TestMutable_AMoveInIsNotForgottenBetweenQueries(t *testing.T) {
	t.Parallel()
	f := newMutable(t, emulator.Options{Partitions: 1}, emulator.GoogleSQL)
	f.opt.QueryWindow, f.opt.Heartbeat = 100*time.Millisecond, 5*time.Second
	r := f.replica("me", 0)
	f.stream = r.stream
	f.until("it reads", func() bool { return r.stream.Owned() == 1 })
	f.commit(20)
	f.until("they are read", func() bool { return len(f.sink.row(9)) == 2 })
	source := f.open()[0]
	r.out.hold(source)
	f.commit(10)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Split, source))
	f.until("the new partition is read", func() bool { return r.stream.Owned() == 2 })
	queries := r.stream.Stats().Queries.Load()
	f.until("queries end", func() bool { return r.stream.Stats().Queries.Load() > queries+10 })
	f.commit(10)
	f.until("the destination waits", func() bool { return r.stream.Stats().MoveIns.Load() > 0 })
	r.out.release()
	for id := range 10 {
		f.until("all is read", func() bool { return len(f.sink.row(id)) == 4 })
		if got := f.sink.row(id); !slices.Equal(got, f.rows[id]) {
			t.Errorf("row %d: read %q, committed %q", id, got, f.rows[id])
		}
	}
	must(t, r.stop())
}

// A partition is stored before the one that announced it goes on. The replica
// that read of it dies before it can store it; the next one reads of it again.
func TestMutable_WhatIsAnnouncedIsStoredFirst(t *testing.T) {
	t.Parallel()
	f := newMutable(t, emulator.Options{Partitions: 1}, emulator.GoogleSQL)
	f.opt.Lease = 20 * time.Second // it must not run out while nothing can be stored
	a := f.replica("a", 0)
	f.stream = a.stream
	f.until("it reads", func() bool { return a.stream.Owned() == 1 })
	f.check(f.commit(10))
	a.line.set(false, true)
	f.commit(10)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Split, ""))
	last := f.commit(10)
	f.until("what came before the split is published", func() bool {
		return !slices.ContainsFunc([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, func(id int) bool { return !slices.Contains(f.sink.row(id), "2") })
	})
	looks := a.line.views()
	f.until("the store is looked at", func() bool { return a.line.views() > looks+5 })
	for id := range 10 {
		if got := f.sink.row(id); slices.Contains(got, "3") {
			t.Errorf("row %d: %q, though the partition that began before is not stored", id, got)
		}
	}
	if _, fleet := a.stream.Resolved(); fleet.After(last) {
		t.Error("resolved behind the start of a partition that is not read")
	}
	a.kill()
	f.server.Advance(f.opt.Lease)
	b := f.replica("b", 0)
	f.stream = b.stream
	f.check(last)
	must(t, b.stop())
}

// Scenario 13: what began, and what ended, in a gap is found behind it.
func TestMutable_AGapIsSkipped(t *testing.T) {
	t.Parallel()
	for kind, move := range moves {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := newMutable(t, emulator.Options{Partitions: 1}, emulator.GoogleSQL)
			f.opt.OnGapPolicy = changestream.GapSkip
			f.run()
			f.commit(10)
			if move.before != "" {
				f.churn(move.before, "")
			}
			f.check(f.commit(10))
			must(t, f.stop())
			_, churned := move.source(f.open())
			must(t, f.server.Churn(testDatabase, testStream, kind, churned))
			f.commit(10)
			f.server.Advance(25 * time.Hour)
			f.opt.Replica.ID = "another"
			f.run()
			f.resolved(f.commit(10))
			f.churn(emulator.Split, "")
			f.churn(emulator.Move, "")
			f.resolved(f.commit(10))
			for id := range 10 {
				if got := f.sink.row(id); !slices.Equal(got, []string{"1", "2", "4", "5"}) {
					t.Errorf("row %d: read %q", id, got)
				}
			}
			must(t, f.stop())
		})
	}
}
