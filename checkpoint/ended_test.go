package checkpoint

import (
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

// A replica that has ended in order is none of the replicas, nor present, nor an
// heir; but for a minute it is known that there was one.
func TestStore_RemembersThoseThatHaveEnded(t *testing.T) {
	forEachStore(t, func(t *testing.T, s changestream.Store) {
		st := newTest(t, s)
		now := st.view().Now
		end := func(id, epoch string, at time.Time) {
			t.Helper()
			r := changestream.Replica{ID: id, Epoch: epoch, Endpoints: []string{"tcp://x:1"}, LastSeen: at}
			st.commit(changestream.Commit{Owner: id, Now: at, Replica: &r})
			if ids, err := s.Present(t.Context()); err != nil || len(ids) != 1 {
				t.Fatal(ids, err)
			}
			st.commit(changestream.Commit{Owner: id, Now: at, Ended: &r})
			if ids, err := s.Present(t.Context()); err != nil || len(ids) != 0 {
				t.Errorf("present are %q, %v", ids, err)
			}
		}
		end("me", "00000000000000aa", now)
		end("you", "00000000000000bb", now.Add(-2*changestream.EndedFor))
		v := st.view()
		if len(v.Replicas) != 0 || len(v.Ended) != 1 || v.Ended[0].Epoch != "00000000000000aa" {
			t.Errorf("%+v", v)
		}
		st.commit(changestream.Commit{Owner: "them", Now: now, Gone: v.Outdated})
		if v := st.view(); len(v.Outdated) != 0 || len(v.Ended) != 1 {
			t.Errorf("%+v", v)
		}
	})
}
