package checkpoint

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/spannerdb"
)

func TestSplit_KeepsEverythingInOrder(t *testing.T) {
	c := changestream.Commit{Owner: "me", Now: time.Unix(7, 0), Gone: []string{"x"}, Replica: &changestream.Replica{ID: "me"}, Ended: &changestream.Replica{ID: "me"}}
	for i := range 40 {
		u := changestream.Update{Token: token(i)}
		if i%3 == 0 {
			u.Children = make([]changestream.Partition, i%7)
		}
		c.Updates = append(c.Updates, u)
		c.Takes = append(c.Takes, changestream.Take{Token: token(100 + i)})
		c.Remove = append(c.Remove, token(200+i))
	}
	for _, most := range []int{1, 30, 100, 500, 1 << 30} {
		parts := split(c, most)
		whole := changestream.Commit{}
		for _, p := range parts {
			cost, items := len(p.Remove)+costOfTake*len(p.Takes)+len(p.Gone), len(p.Remove)+len(p.Takes)+len(p.Updates)
			for _, u := range p.Updates {
				cost += costOfUpdate + costOfPartition*len(u.Children)
			}
			if p.Replica != nil {
				cost += costOfReplica
			}
			if cost > most && items > 1 {
				t.Errorf("at most %d: a part of %d, with %d items", most, cost, items)
			}
			whole.Owner, whole.Now, whole.Replica, whole.Gone, whole.Ended = p.Owner, p.Now, p.Replica, p.Gone, p.Ended
			whole.Updates, whole.Takes, whole.Remove = append(whole.Updates, p.Updates...), append(whole.Takes, p.Takes...), append(whole.Remove, p.Remove...)
		}
		if !reflect.DeepEqual(whole, c) {
			t.Errorf("at most %d: in %d parts %+v", most, len(parts), whole)
		}
		if most == 1<<30 && len(parts) != 1 {
			t.Errorf("%d parts without need", len(parts))
		}
	}
}

func token(i int) changestream.PartitionToken {
	return changestream.PartitionToken(fmt.Sprintf("%0128d", i))
}

// Five thousand partitions end at one time, and each has a child: more than
// Spanner takes in one commit, of which the embedded one refuses more, too.
func TestSpanner_WritesMoreThanOneCommitTakes(t *testing.T) {
	ctx := t.Context()
	const database, n = "projects/p/instances/i/databases/m", 5000
	server, client := spannerdb.Embedded(t, emulator.Options{}, database, emulator.GoogleSQL, DDL("Test", changestream.GoogleSQL)...)
	s := NewSpanner(client, changestream.Info{Database: database, Stream: "S"}, "Test")
	now := server.Now().Truncate(time.Microsecond)
	owned := func(i int) changestream.Partition {
		return changestream.Partition{Token: token(i), Start: now, Position: now, State: changestream.Running, Owner: "me", Epoch: 1, Expiry: now.Add(time.Hour)}
	}
	begin, end := changestream.Commit{Owner: "me", Now: now}, changestream.Commit{Owner: "me", Now: now}
	var tokens []changestream.PartitionToken
	for i := range n {
		begin.Roots = append(begin.Roots, owned(i))
		end.Updates = append(end.Updates, changestream.Update{Token: token(i), Epoch: 1, Position: now, Expiry: now.Add(time.Hour), End: now.Add(time.Second),
			Children: []changestream.Partition{owned(n + i)}})
		tokens = append(tokens, token(i), token(n+i))
	}
	for _, c := range []changestream.Commit{begin, end} {
		if r, err := s.Commit(ctx, c); err != nil || len(r.Lost)+len(r.NotTaken) > 0 {
			t.Fatalf("%d are lost, %v", len(r.Lost)+len(r.NotTaken), err)
		}
	}
	if v, err := s.View(ctx); err != nil || len(v.Partitions) != 2*n {
		t.Fatalf("%d partitions, %v", len(v.Partitions), err)
	}
	if changed, err := s.Release(context.Background(), tokens); err != nil || len(changed) != 2*n {
		t.Errorf("released %d, %v", len(changed), err)
	}
	var many []changestream.Partition
	for i := range 10_000 {
		many = append(many, owned(i))
	}
	const why = "the change stream has 10000 partitions, and no more than 5714 can be stored at once"
	if _, err := s.Commit(ctx, changestream.Commit{Owner: "me", Now: now, Roots: many}); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("more initial partitions than one commit takes: %v", err)
	}
	if _, err := s.Reset(ctx, many, now); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("a reset to more than that: %v", err)
	}
}
