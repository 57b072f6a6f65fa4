package engine

import (
	"fmt"
	"testing"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

// frozen is a database whose clock stands still but for tick.
func frozen(t *testing.T, versions int) (db *Database, tick func()) {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	db = New("projects/p/instances/i/databases/d", &schema.Schema{}, Config{Now: func() time.Time { return now }, Retention: time.Hour, Versions: versions,
		Stream: changes.Config{Partitions: 1, Limit: 1 << 20, Names: func() string { return "token" }}})
	_, err := db.Alter(func(s *schema.Schema) (*schema.Schema, error) {
		next := s.Clone()
		id := &schema.Column{Name: "Id", Type: value.Int64, IsKey: true}
		next.NextID = 1
		next.Tables = []*schema.Table{{ID: 1, Root: 1, Name: "T", Columns: []*schema.Column{id}, Key: []schema.KeyPart{{Column: id}}, Slots: 1}}
		return next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, func() { now = now.Add(time.Second) }
}

func upsert(id int) []*sppb.Mutation {
	return []*sppb.Mutation{{Operation: &sppb.Mutation_InsertOrUpdate{InsertOrUpdate: &sppb.Mutation_Write{Table: "T", Columns: []string{"Id"},
		Values: []*structpb.ListValue{{Values: []*structpb.Value{structpb.NewStringValue(fmt.Sprint(id))}}}}}}}
}

func commit(t *testing.T, db *Database, id int) store.Timestamp {
	t.Helper()
	done, err := db.Begin().Commit(upsert(id), CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return store.Timestamp(done.At.UnixMicro())
}

// TestClose_NoLaterCommitAtOrBefore is the promise of every heartbeat.
func TestClose_NoLaterCommitAtOrBefore(t *testing.T) {
	db, tick := frozen(t, 1000)
	for i := range 10 {
		tick()
		closed := db.Close(store.Max)
		if at := commit(t, db, i); at <= closed {
			t.Fatalf("a commit at %d after %d was closed", at, closed)
		}
	}
	future := store.Timestamp(db.Now().Add(time.Hour).UnixMicro())
	if closed := db.Close(future); closed >= future {
		t.Errorf("closed %d, which the clock has not reached", closed)
	}
}

func TestCommit_TimestampsRise(t *testing.T) {
	db, _ := frozen(t, 1000)
	last := store.Timestamp(0)
	for i := range 100 {
		at := commit(t, db, i%3)
		if at <= last {
			t.Fatalf("commit at %d after one at %d", at, last)
		}
		last = at
	}
}

func TestVersions_AreBounded(t *testing.T) {
	db, _ := frozen(t, 50)
	for range 10_000 {
		commit(t, db, 1)
	}
	if n := db.garbage.len(); n > 51 {
		t.Errorf("%d old versions are kept, want at most 50", n)
	}
	if n := cap(db.garbage.items); n > 10_000 {
		t.Errorf("the list of old versions has grown to %d", n)
	}
	if err := db.CheckRead(db.horizon - 1); err == nil {
		t.Error("a read before the earliest version is allowed")
	}
}

func TestAlter_FailureLeavesTheSchema(t *testing.T) {
	db, _ := frozen(t, 10)
	commit(t, db, 1)
	before := db.Schema()
	_, err := db.Alter(func(s *schema.Schema) (*schema.Schema, error) {
		next := s.Clone()
		table := next.Tables[0]
		table.Columns = append(table.Columns, &schema.Column{Name: "N", Type: value.Int64, NotNull: true, Slot: 1})
		table.Slots = 2
		return next, nil
	})
	if err == nil || db.Schema() != before {
		t.Errorf("a NOT NULL column on a table with rows: %v", err)
	}
}
