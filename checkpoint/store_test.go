package checkpoint

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/spannerdb"
)

// forEachStore runs a test of the contract against every implementation.
func forEachStore(t *testing.T, f func(t *testing.T, s changestream.Store)) {
	t.Run("Memory", func(t *testing.T) { f(t, NewMemory(time.Now)) })
	for dialect, code := range map[changestream.Dialect]databasepb.DatabaseDialect{
		changestream.GoogleSQL: databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, changestream.PostgreSQL: databasepb.DatabaseDialect_POSTGRESQL,
	} {
		t.Run(string(dialect), func(t *testing.T) {
			db := spannerdb.New(t, spannerdb.Host(t), code, DDL("Test", dialect)...)
			f(t, NewSpanner(db.Client, changestream.Info{Database: db.Name, Stream: "S", Dialect: dialect}, "Test"))
		})
	}
}

type storeTest struct {
	*testing.T
	s   changestream.Store
	now time.Time
}

func newTest(t *testing.T, s changestream.Store) *storeTest {
	return &storeTest{T: t, s: s, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}
}

// at is the time n seconds after the beginning.
func (t *storeTest) at(n int) time.Time { return t.now.Add(time.Duration(n) * time.Second) }

func (t *storeTest) commit(c changestream.Commit) changestream.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := t.s.Commit(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (t *storeTest) view() changestream.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	v, err := t.s.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (t *storeTest) partition(token changestream.PartitionToken) changestream.Partition {
	t.Helper()
	for _, p := range t.view().Partitions {
		if p.Token == token {
			return p
		}
	}
	t.Fatalf("no partition %s", token)
	return changestream.Partition{}
}

func (t *storeTest) root(token changestream.PartitionToken) changestream.Partition {
	return changestream.Partition{Token: token, Start: t.at(0), Position: t.at(0), State: changestream.Created}
}

// begin stores A and B, both taken by "me" at epoch 1 until second 10.
func (t *storeTest) begin() {
	t.Helper()
	t.commit(changestream.Commit{Owner: "me", Now: t.at(0), Roots: []changestream.Partition{t.root("A"), t.root("B")}})
	r := t.commit(changestream.Commit{Owner: "me", Now: t.at(0), Takes: []changestream.Take{{Token: "A", Expiry: t.at(10)}, {Token: "B", Expiry: t.at(10)}}})
	if len(r.NotTaken) > 0 {
		t.Fatalf("not taken: %v", r.NotTaken)
	}
}

func (t *storeTest) equal(got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestStore_RootsAreStoredOnce(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.equal(st.commit(changestream.Commit{Owner: "me", Now: st.at(1), Roots: []changestream.Partition{st.root("A")}}).RootsExist, false)
		st.equal(st.commit(changestream.Commit{Owner: "you", Now: st.at(2), Roots: []changestream.Partition{st.root("B")}}).RootsExist, true)
		v := st.view()
		if len(v.Partitions) != 1 || time.Since(v.Now).Abs() > time.Minute {
			t.Fatalf("%+v", v)
		}
		want := st.root("A")
		want.CreatedAt = st.at(1)
		st.equal(v.Partitions[0], want)
	})
}

func TestStore_OneOwnerAtATime(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		take := func(owner string, epoch int64, now int) []changestream.PartitionToken {
			return st.commit(changestream.Commit{Owner: owner, Now: st.at(now), Takes: []changestream.Take{{Token: "A", Epoch: epoch, Expiry: st.at(now + 10)}}}).NotTaken
		}
		st.equal(len(take("you", 1, 9)), 1)   // still leased
		st.equal(len(take("you", 0, 11)), 1)  // seen too long ago
		st.equal(len(take("you", 1, 10)), 0)  // run out
		st.equal(len(take("them", 1, 30)), 1) // somebody was faster
		st.equal(len(take("nobody", 1, 30)), 1)
		p := st.partition("A")
		st.equal([]any{p.Owner, p.Epoch, p.State, p.Expiry}, []any{"you", int64(2), changestream.Running, st.at(20)})
	})
}

func TestStore_TakeForgetsAnEndThatWasNotFinished(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		st.commit(changestream.Commit{Owner: "me", Now: st.at(5), Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(3), Expiry: st.at(15), End: st.at(5)}}})
		st.equal(st.partition("A").End, st.at(5))
		st.commit(changestream.Commit{Owner: "you", Now: st.at(16), Takes: []changestream.Take{{Token: "A", Epoch: 1, Expiry: st.at(26)}}})
		p := st.partition("A")
		st.equal([]any{p.End.IsZero(), p.Position}, []any{true, st.at(3)})
	})
}

func TestStore_UpdatesAreForTheOwnerOnly(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		st.commit(changestream.Commit{Owner: "you", Now: st.at(20), Takes: []changestream.Take{{Token: "A", Epoch: 1, Expiry: st.at(30)}}})
		child := changestream.Partition{Token: "C", Parents: []changestream.PartitionToken{"A"}, Start: st.at(9), Position: st.at(9), State: changestream.Created}
		for _, c := range []changestream.Commit{
			{Owner: "me", Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(9), Expiry: st.at(40), End: st.at(9), Children: []changestream.Partition{child}}}},
			{Owner: "you", Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(9), Expiry: st.at(40)}}}, // an epoch that is over
			{Owner: "me", Updates: []changestream.Update{{Token: "X", Epoch: 1, Position: st.at(9)}}},                     // no such partition
		} {
			c.Now = st.at(21)
			st.equal(st.commit(c).Lost, []changestream.PartitionToken{c.Updates[0].Token})
		}
		p := st.partition("A")
		st.equal([]any{p.Owner, p.Epoch, p.Position, p.End.IsZero(), len(st.view().Partitions)}, []any{"you", int64(2), st.at(0), true, 2})
	})
}

func TestStore_OneLostPartDoesNotHoldTheOthers(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		st.commit(changestream.Commit{Owner: "you", Now: st.at(20), Takes: []changestream.Take{{Token: "A", Epoch: 1, Expiry: st.at(30)}}})
		r := st.commit(changestream.Commit{Owner: "me", Now: st.at(21), Updates: []changestream.Update{
			{Token: "A", Epoch: 1, Position: st.at(9), Expiry: st.at(31)}, {Token: "B", Epoch: 1, Position: st.at(8), Expiry: st.at(31)}}})
		st.equal(r.Lost, []changestream.PartitionToken{"A"})
		st.equal(st.partition("B").Position, st.at(8))
	})
}

func TestStore_PositionNeverMovesBack(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		for _, n := range []int{5, 3} {
			st.commit(changestream.Commit{Owner: "me", Now: st.at(n), Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(n), Expiry: st.at(20)}}})
		}
		st.equal(st.partition("A").Position, st.at(5))
		odd := st.at(7).Add(123_456_789)
		st.commit(changestream.Commit{Owner: "me", Now: st.at(8), Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: odd, Expiry: st.at(20)}}})
		st.equal(st.partition("A").Position, odd.Truncate(time.Microsecond)) // not rounded up
	})
}

func TestStore_ChildrenComeWithTheirParentsEnd(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		child := func(token changestream.PartitionToken, owner string) changestream.Partition {
			p := changestream.Partition{Token: token, Parents: []changestream.PartitionToken{"A", "B"}, Start: st.at(9), Position: st.at(9), State: changestream.Created}
			if owner != "" {
				p.Owner, p.Epoch, p.Expiry, p.State = owner, 1, st.at(19), changestream.Running
			}
			return p
		}
		end := func(token changestream.PartitionToken, children ...changestream.Partition) changestream.Result {
			return st.commit(changestream.Commit{Owner: "me", Now: st.at(9), Updates: []changestream.Update{{Token: token, Epoch: 1, Position: st.at(8), Expiry: st.at(19), End: st.at(9), Children: children}}})
		}
		end("A", child("C", ""))
		// B names the same child, and a sibling that is not known: what is known
		// stays as it is, and does not keep the other from being stored.
		r := end("B", child("C", "me"), child("D", "me"))
		st.equal(r.NotTaken, []changestream.PartitionToken{"C"})
		c, d := st.partition("C"), st.partition("D")
		st.equal([]any{c.Owner, c.State, c.Parents}, []any{"", changestream.Created, []changestream.PartitionToken{"A", "B"}})
		st.equal([]any{d.Owner, d.State, d.Epoch, d.Expiry, d.CreatedAt}, []any{"me", changestream.Running, int64(1), st.at(19), st.at(9)})
	})
}

// A partition of a MUTABLE_KEY_RANGE stream names others while it lives on.
func TestStore_AnnouncedPartitionsComeWithAPosition(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		c := changestream.Partition{Token: "C", Parents: []changestream.PartitionToken{"A"}, Start: st.at(5), Position: st.at(5),
			State: changestream.Running, Owner: "me", Epoch: 1, Expiry: st.at(15)}
		u := changestream.Update{Token: "A", Epoch: 1, Position: st.at(5), Expiry: st.at(15), Children: []changestream.Partition{c}}
		st.equal(st.commit(changestream.Commit{Owner: "you", Now: st.at(6), Updates: []changestream.Update{u}}).Lost, []changestream.PartitionToken{"A"})
		st.equal(len(st.view().Partitions), 2)
		st.equal(st.commit(changestream.Commit{Owner: "me", Now: st.at(6), Updates: []changestream.Update{u}}), changestream.Result{})
		c.CreatedAt = st.at(6)
		st.equal(st.partition("C"), c)
		a := st.partition("A")
		st.equal([]any{a.Position, a.State, a.Owner, a.End.IsZero()}, []any{st.at(5), changestream.Running, "me", true})
	})
}

// What a partition gave stays on record until it gives something else, whoever
// owns it.
func TestStore_WhatWasGivenStaysOnRecord(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		gave := func() []any { return []any{st.partition("A").MovedAt, st.partition("A").MovedTo} }
		st.equal(gave(), []any{time.Time{}, []changestream.PartitionToken(nil)})
		u := changestream.Update{Token: "A", Epoch: 1, Position: st.at(5), Expiry: st.at(15), MovedAt: st.at(5), MovedTo: []changestream.PartitionToken{"B", "C"}}
		st.equal(st.commit(changestream.Commit{Owner: "you", Now: st.at(6), Updates: []changestream.Update{u}}).Lost, []changestream.PartitionToken{"A"})
		st.equal(gave(), []any{time.Time{}, []changestream.PartitionToken(nil)})
		want := []any{st.at(5), []changestream.PartitionToken{"B", "C"}}
		for _, c := range []changestream.Commit{
			{Owner: "me", Now: st.at(6), Updates: []changestream.Update{u}},
			{Owner: "me", Now: st.at(7), Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(6), Expiry: st.at(16)}}},
			{Owner: "you", Now: st.at(20), Takes: []changestream.Take{{Token: "A", Epoch: 1, Expiry: st.at(30)}}},
		} {
			st.equal(st.commit(c), changestream.Result{})
			st.equal(gave(), want)
		}
		st.commit(changestream.Commit{Owner: "you", Now: st.at(21), Updates: []changestream.Update{
			{Token: "A", Epoch: 2, Position: st.at(20), Expiry: st.at(31), MovedAt: st.at(20), MovedTo: []changestream.PartitionToken{"B"}}}})
		st.equal(gave(), []any{st.at(20), []changestream.PartitionToken{"B"}})
	})
}

func TestStore_ReleaseFinishRemove(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		st.commit(changestream.Commit{Owner: "me", Now: st.at(12), Updates: []changestream.Update{
			{Token: "A", Epoch: 1, Position: st.at(11), End: st.at(11), Finished: true}, {Token: "B", Epoch: 1, Position: st.at(6)}}})
		a, b := st.partition("A"), st.partition("B")
		st.equal([]any{a.State, a.Owner, a.FinishedAt, a.End}, []any{changestream.Finished, "", st.at(12), st.at(11)})
		st.equal([]any{b.State, b.Owner, b.Expiry.IsZero(), b.Position}, []any{changestream.Running, "", true, st.at(6)})
		// What was given back can be taken at once; what is finished, never.
		r := st.commit(changestream.Commit{Owner: "you", Now: st.at(12), Takes: []changestream.Take{{Token: "A", Epoch: 1, Expiry: st.at(22)}, {Token: "B", Epoch: 1, Expiry: st.at(22)}}})
		st.equal(r.NotTaken, []changestream.PartitionToken{"A"})
		st.equal(st.commit(changestream.Commit{Owner: "me", Now: st.at(13), Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(20), Expiry: st.at(30)}}}).Lost,
			[]changestream.PartitionToken{"A"})
		// Only finished partitions are removed.
		st.commit(changestream.Commit{Owner: "me", Now: st.at(13), Remove: []changestream.PartitionToken{"A", "B", "never was"}})
		v := st.view()
		if len(v.Partitions) != 1 || v.Partitions[0].Token != "B" {
			t.Fatalf("%+v", v.Partitions)
		}
	})
}

func TestStore_Replicas(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		me := changestream.Replica{ID: "me", Epoch: "00112233445566ff", Endpoints: []string{"tcp://10.0.0.1:5556"}, Recover: []string{"tcp://10.0.0.1:5557"}, Capacity: 7, LastSeen: st.at(1)}
		you := changestream.Replica{ID: "you", Epoch: "1", Endpoints: []string{}, LastSeen: st.at(2)}
		st.commit(changestream.Commit{Owner: "me", Now: st.at(1), Replica: &me})
		st.commit(changestream.Commit{Owner: "you", Now: st.at(2), Replica: &you})
		me.LastSeen = st.at(3)
		st.commit(changestream.Commit{Owner: "me", Now: st.at(3), Replica: &me})
		got := st.view().Replicas
		slices.SortFunc(got, func(a, b changestream.Replica) int { return len(a.ID) - len(b.ID) })
		st.equal(got, []changestream.Replica{me, you})
		st.commit(changestream.Commit{Owner: "me", Now: st.at(3), Gone: []string{"you"}})
		st.equal(st.view().Replicas, []changestream.Replica{me})
	})
}

func TestSpanner_ManyTakersOneOwner(t *testing.T) {
	db := spannerdb.New(t, spannerdb.Host(t), databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, DDL("Test", changestream.GoogleSQL)...)
	info := changestream.Info{Database: db.Name, Stream: "S"}
	st := newTest(t, NewSpanner(db.Client, info, "Test"))
	st.commit(changestream.Commit{Owner: "me", Now: st.at(0), Roots: []changestream.Partition{st.root("A")}})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	won := make(chan string, 8)
	for i := range 8 {
		s := NewSpanner(db.NewClient(t), info, "Test") // as replicas have, each its own
		wg.Go(func() {
			owner := fmt.Sprint("replica-", i)
			r, err := s.Commit(ctx, changestream.Commit{Owner: owner, Now: st.at(0), Takes: []changestream.Take{{Token: "A", Expiry: st.at(10)}}})
			if err != nil {
				t.Error(err)
			} else if len(r.NotTaken) == 0 {
				won <- owner
			}
		})
	}
	wg.Wait()
	close(won)
	var owners []string
	for o := range won {
		owners = append(owners, o)
	}
	if len(owners) != 1 || st.partition("A").Owner != owners[0] {
		t.Fatalf("winners %v, owner %s", owners, st.partition("A").Owner)
	}
}

func TestSpanner_StreamsShareTables(t *testing.T) {
	db := spannerdb.New(t, spannerdb.Host(t), databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, DDL("Test", changestream.GoogleSQL)...)
	a := newTest(t, NewSpanner(db.Client, changestream.Info{Database: db.Name, Stream: "S"}, "Test"))
	b := newTest(t, NewSpanner(db.Client, changestream.Info{Database: db.Name, Stream: "S2"}, "Test"))
	a.begin()
	if v := b.view(); len(v.Partitions) != 0 {
		t.Fatalf("%+v", v)
	}
	b.begin()
	if v := a.view(); len(v.Partitions) != 2 {
		t.Fatalf("%+v", v)
	}
}

func TestSpanner_MissingTablesSayWhich(t *testing.T) {
	for dialect, code := range map[changestream.Dialect]databasepb.DatabaseDialect{
		changestream.GoogleSQL: databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, changestream.PostgreSQL: databasepb.DatabaseDialect_POSTGRESQL,
	} {
		db := spannerdb.New(t, spannerdb.Host(t), code)
		_, err := NewSpanner(db.Client, changestream.Info{Database: db.Name, Stream: "S"}, "Test").View(context.Background())
		if changestream.CauseOf(err) != changestream.NoTables {
			t.Fatalf("%s: %v", dialect, err)
		}
	}
}
