package checkpoint

import (
	"context"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

// A partition is handed over in one transaction: the other owns it from then on,
// in the next epoch, and the one who gave it can write nothing more.
func TestStore_AHandOverIsOneTransaction(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		st.commit(changestream.Commit{Owner: "you", Now: st.at(1), Replica: &changestream.Replica{ID: "you", Endpoints: []string{}, LastSeen: st.at(1)}})
		hand := func(to string, token changestream.PartitionToken) changestream.Result {
			return st.commit(changestream.Commit{Owner: "me", Now: st.at(5), Updates: []changestream.Update{
				{Token: token, Epoch: 1, Position: st.at(4), Expiry: st.at(15), End: st.at(3), To: to}}})
		}
		st.equal(len(hand("you", "A").Lost), 0)
		p := st.partition("A")
		st.equal([]any{p.Owner, p.Epoch, p.Expiry, p.Position, p.End.IsZero(), p.State}, []any{"you", int64(2), st.at(15), st.at(4), true, changestream.Running})
		st.equal(hand("you", "A").Lost, []changestream.PartitionToken{"A"})
		// Nobody else may take it before the lease has run out.
		take := changestream.Commit{Owner: "them", Now: st.at(6), Takes: []changestream.Take{{Token: "A", Epoch: 2, Expiry: st.at(16)}}}
		st.equal(len(st.commit(take).NotTaken), 1)
		// A replica that has gone gets nothing: the partition is nobody's.
		st.commit(changestream.Commit{Owner: "you", Now: st.at(6), Gone: []string{"you"}})
		st.equal(len(hand("you", "B").Lost), 0)
		p = st.partition("B")
		st.equal([]any{p.Owner, p.Epoch, p.Expiry.IsZero(), p.Position}, []any{"", int64(1), true, st.at(4)})
	})
}

// What a replica let slip, and nobody took, it may take anew before and after
// the lease has run out by the store's clock; another only after.
func TestStore_AReplicaMayTakeWhatIsItsOwn(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		take := func(owner string, epoch int64, now int) int {
			return len(st.commit(changestream.Commit{Owner: owner, Now: st.at(now), Takes: []changestream.Take{{Token: "A", Epoch: epoch, Expiry: st.at(now + 10)}}}).NotTaken)
		}
		st.equal(take("you", 1, 8), 1)
		st.equal(take("me", 1, 8), 0)
		st.equal(take("me", 1, 8), 1) // of an epoch that is over
		st.equal(take("me", 2, 30), 0)
		st.equal(take("you", 3, 39), 1)
		st.equal(take("you", 3, 40), 0)
		st.equal(take("me", 4, 41), 1)
	})
}

// A commit that was made before its replica was paused, and arrives when the
// lease has run out: what was taken meanwhile stays as it is, and what was not
// gets a lease that has run out as well.
func TestStore_ALateCommitGivesNobodyALease(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		late := changestream.Commit{Owner: "me", Now: st.at(5), Updates: []changestream.Update{
			{Token: "A", Epoch: 1, Position: st.at(4), Expiry: st.at(15)}, {Token: "B", Epoch: 1, Position: st.at(4), Expiry: st.at(15)}}}
		st.commit(changestream.Commit{Owner: "you", Now: st.at(20), Takes: []changestream.Take{{Token: "A", Epoch: 1, Expiry: st.at(30)}}})
		st.equal(st.commit(late).Lost, []changestream.PartitionToken{"A"})
		a, b := st.partition("A"), st.partition("B")
		st.equal([]any{a.Owner, a.Epoch, a.Expiry, a.Position}, []any{"you", int64(2), st.at(30), st.at(0)})
		st.equal([]any{b.Owner, b.Expiry, b.Position}, []any{"me", st.at(15), st.at(4)})
		st.equal(len(st.commit(changestream.Commit{Owner: "you", Now: st.at(20), Takes: []changestream.Take{{Token: "B", Epoch: 1, Expiry: st.at(30)}}}).NotTaken), 0)
	})
}

func TestStore_WhoIsPresent(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, id := range []string{"me", "you"} {
			st.commit(changestream.Commit{Owner: id, Now: st.at(2), Replica: &changestream.Replica{ID: id, Endpoints: []string{}, LastSeen: st.at(2)}})
		}
		st.commit(changestream.Commit{Owner: "me", Now: st.at(3), Gone: []string{"me"}})
		got, err := s.Present(ctx)
		if err != nil {
			t.Fatal(err)
		}
		st.equal(got, []string{"you"})
	})
}

// A renewal leaves everything else as it is, and an end that comes with it is
// stored.
func TestStore_RenewalsChangePositionAndExpiry(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		st.begin()
		before := st.partition("A")
		renew := func(now int, end time.Time) changestream.Partition {
			st.commit(changestream.Commit{Owner: "me", Now: st.at(now), Updates: []changestream.Update{{Token: "A", Epoch: 1, Position: st.at(now - 1), Expiry: st.at(now + 10), End: end}}})
			return st.partition("A")
		}
		before.Position, before.Expiry = st.at(4), st.at(15)
		st.equal(renew(5, time.Time{}), before)
		end := st.at(6).Add(123_456_789)
		before.Position, before.Expiry, before.End = st.at(6), st.at(17), end.Truncate(time.Microsecond)
		st.equal(renew(7, end), before)
		before.Position, before.Expiry = st.at(7), st.at(18)
		st.equal(renew(8, end), before)
		before.Position, before.Expiry, before.End = st.at(8), st.at(19), time.Time{}
		st.equal(renew(9, time.Time{}), before)
	})
}
