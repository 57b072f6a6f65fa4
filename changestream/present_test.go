package changestream

import (
	"slices"
	"testing"
	"time"
)

// Who counts when partitions are shared: lease 10 s, an interval of 1 s, at
// second 100.
func TestFleet_CountsWhoIsThere(t *testing.T) {
	c := newScheduler(&Stream{opt: Options{Replica: Replica{ID: "me"}, Lease: 10 * time.Second, CheckpointInterval: time.Second, MaxPartitions: 7}})
	c.clock = storeClock{read: second(100), sent: time.Now(), received: time.Now()}
	c.graph.Load([]Partition{
		{Token: "A", State: Running, Owner: "me", Epoch: 1, Expiry: second(105)},
		{Token: "B", State: Running, Owner: "well", Epoch: 1, Expiry: second(105)},
		{Token: "C", State: Running, Owner: "well", Epoch: 1, Expiry: second(105), End: second(99)}, // it only waits to be finished
		{Token: "D", State: Running, Owner: "silent", Epoch: 1, Expiry: second(103)},
		{Token: "E", State: Running, Owner: "lapsed", Epoch: 1, Expiry: second(99)},
		{Token: "F", State: Running, Owner: "lapsed", Epoch: 1, Expiry: second(101)},
		{Token: "G", State: Running, Owner: "back", Epoch: 1, Expiry: second(90)},
		{Token: "H", State: Finished, Owner: ""},
	})
	c.fleet = []Replica{
		{ID: "me", LastSeen: second(99)}, {ID: "well", LastSeen: second(99), Capacity: 5}, {ID: "silent", LastSeen: second(95)},
		{ID: "lapsed", LastSeen: second(98)}, {ID: "back", LastSeen: second(98)}, {ID: "new", LastSeen: second(100)},
	}
	want := []member{{id: "me", capacity: 7, owns: 1}, {id: "well", capacity: 5, owns: 1}, {id: "back"}, {id: "new"}}
	if got := c.members(second(100)); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// What is on its way to another counts as that one's already.
	c.tasks["A"] = &task{token: "A", to: "new"}
	want[0].owns, want[3].owns = 0, 1
	if got := c.members(second(100)); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Two replicas that look at the same moment may each leave a partition to the
// other, as the shares of what they see say. Then they look again soon, and not
// for ever.
func TestFleet_LooksAgainSoonAtWhatItLeftToOthers(t *testing.T) {
	const interval = time.Second
	c := newScheduler(&Stream{opt: Options{Replica: Replica{ID: "b"}, Lease: 3 * interval, CheckpointInterval: interval}})
	c.clock = storeClock{read: second(100), sent: time.Now(), received: time.Now()}
	c.fleet = []Replica{{ID: "a", LastSeen: second(100)}, {ID: "b", LastSeen: second(100)}}
	c.graph.Load([]Partition{{Token: "free", State: Running, Owner: "dead", Epoch: 1, Expiry: second(99)}})
	if took := c.takes(second(100)); len(took) > 0 {
		t.Fatalf("took %v, which is a's", took)
	}
	if d := c.untilTick(); d > interval/5 {
		t.Errorf("the next look is in %s", d)
	}
	c.balance.open["free"] = time.Now().Add(-expectFor * interval)
	c.balance.left = c.balance.open["free"]
	if d := c.untilTick(); d < interval/2 {
		t.Errorf("long after, the next look is in %s", d)
	}
	c.graph.Load([]Partition{{Token: "free", State: Running, Owner: "a", Epoch: 2, Expiry: second(103)}})
	c.takes(second(100))
	if !c.balance.left.IsZero() {
		t.Error("what a has taken counts as left")
	}
}
