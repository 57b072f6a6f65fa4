package checkpoint

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/spannerdb"
)

// forEachDialect runs a test of what only the tables can do.
func forEachDialect(t *testing.T, f func(st *storeTest, s *Spanner)) {
	for dialect, code := range map[changestream.Dialect]databasepb.DatabaseDialect{
		changestream.GoogleSQL: databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, changestream.PostgreSQL: databasepb.DatabaseDialect_POSTGRESQL,
	} {
		t.Run(string(dialect), func(t *testing.T) {
			db := spannerdb.New(t, spannerdb.Host(t), code, DDL("Test", dialect)...)
			s := NewSpanner(db.Client, changestream.Info{Database: db.Name, Stream: "S", Dialect: dialect}, "Test")
			f(newTest(t, s), s)
		})
	}
}

func (t *storeTest) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// taken tells whether somebody else can take a partition at some second.
func (t *storeTest) taken(token changestream.PartitionToken, epoch int64, second int) bool {
	t.Helper()
	r := t.commit(changestream.Commit{Owner: "you", Now: t.at(second), Takes: []changestream.Take{{Token: token, Epoch: epoch, Expiry: t.at(second + 10)}}})
	return len(r.NotTaken) == 0
}

// A released partition is its owner's no more, and nobody else's before the
// lease has run out: the owner may not know yet.
func TestRelease_IsFenced(t *testing.T) {
	forEachDialect(t, func(st *storeTest, s *Spanner) {
		st.begin()
		end := changestream.Update{Token: "A", Epoch: 1, Position: st.at(2), Expiry: st.at(10), End: st.at(2)}
		st.commit(changestream.Commit{Owner: "me", Now: st.at(2), Updates: []changestream.Update{end}})
		changed, err := s.Release(st.within(), []changestream.PartitionToken{"A", "nope"})
		if err != nil || len(changed) != 1 || changed[0].Owner != "me" || changed[0].Epoch != 1 {
			st.Fatalf("%+v, %v", changed, err)
		}
		p := st.partition("A")
		st.equal([]any{p.Owner, p.Epoch, p.Expiry, p.End.IsZero(), p.Position}, []any{changestream.Released, int64(2), st.at(10), true, st.at(2)})
		st.equal(st.partition("B").Owner, "me")
		st.equal(st.commit(changestream.Commit{Owner: "me", Now: st.at(3), Updates: []changestream.Update{end}}).Lost, []changestream.PartitionToken{"A"})
		st.equal(st.taken("A", 2, 9), false)
		st.equal(st.taken("A", 2, 10), true)
		if changed, err := s.Release(st.within(), []changestream.PartitionToken{"B"}); err != nil || len(changed) != 1 {
			st.Fatalf("%+v, %v", changed, err)
		}
		if changed, err := s.Release(st.within(), []changestream.PartitionToken{"B"}); err != nil || len(changed) != 0 {
			st.Fatalf("released twice: %+v, %v", changed, err)
		}
	})
}

// A reset leaves nothing of what there was but epochs and leases, so that an
// owner of a partition that is named again can write nothing more, and nobody
// reads while he might.
func TestReset_IsFenced(t *testing.T) {
	forEachDialect(t, func(st *storeTest, s *Spanner) {
		st.begin()
		other := NewSpanner(s.client, changestream.Info{Database: "projects/p/instances/i/databases/other", Stream: "S"}, "Test")
		if _, err := other.Commit(st.within(), changestream.Commit{Owner: "me", Now: st.at(0), Roots: []changestream.Partition{st.root("A")}}); err != nil {
			st.Fatal(err)
		}
		a, c := st.root("A"), st.root("C")
		a.Position, a.Start = st.at(-5), st.at(-5)
		removed, err := s.Reset(st.within(), []changestream.Partition{a, c}, st.at(6))
		if err != nil || removed != 2 {
			st.Fatalf("%d, %v", removed, err)
		}
		st.equal(len(st.view().Partitions), 2)
		p := st.partition("A")
		st.equal([]any{p.State, p.Owner, p.Epoch, p.Expiry, p.Position, p.CreatedAt}, []any{changestream.Created, changestream.Released, int64(2), st.at(10), st.at(-5), st.at(6)})
		late := changestream.Commit{Owner: "me", Now: st.at(7), Updates: []changestream.Update{
			{Token: "A", Epoch: 1, Position: st.at(5), Expiry: st.at(17)}, {Token: "B", Epoch: 1, Position: st.at(5), Expiry: st.at(17)}}}
		st.equal(len(st.commit(late).Lost), 2)
		st.equal(st.taken("C", 0, 9), false)
		st.equal(st.taken("C", 0, 10), true)
		if v, err := other.View(st.within()); err != nil || len(v.Partitions) != 1 {
			st.Errorf("of another stream: %+v, %v", v.Partitions, err)
		}
		// When no lease is left, the new partitions can be taken at once.
		if _, err := s.Reset(st.within(), []changestream.Partition{st.root("D")}, st.at(60)); err != nil {
			st.Fatal(err)
		}
		st.equal(st.taken("D", 0, 60), true)
	})
}
