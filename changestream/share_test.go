package changestream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// a fleet is replicas with what they read, and what nobody reads: a simulation
// of many replicas that all decide by share, from the same view.
type fleet struct {
	capacity map[string]int
	owner    map[PartitionToken]string // "" for nobody
}

func newFleet(partitions int, replicas ...string) *fleet {
	f := &fleet{capacity: make(map[string]int), owner: make(map[PartitionToken]string)}
	for i := range partitions {
		f.owner[PartitionToken(fmt.Sprintf("p%03d", i))] = ""
	}
	f.join(replicas...)
	return f
}

func (f *fleet) join(replicas ...string) {
	for _, r := range replicas {
		f.capacity[r] = 0
	}
}

// die leaves what a replica had to nobody.
func (f *fleet) die(replica string) {
	delete(f.capacity, replica)
	for token, owner := range f.owner {
		if owner == replica {
			f.owner[token] = ""
		}
	}
}

// leave hands over what a replica had.
func (f *fleet) leave(replica string) {
	going := f.of(replica)
	delete(f.capacity, replica)
	heirs := assign(f.members(), going)
	for _, token := range going {
		f.owner[token] = heirs[token]
	}
}

func (f *fleet) of(replica string) []PartitionToken {
	var out []PartitionToken
	for token, owner := range f.owner {
		if owner == replica {
			out = append(out, token)
		}
	}
	slices.Sort(out)
	return out
}

func (f *fleet) members() []member {
	var out []member
	for id, capacity := range f.capacity {
		out = append(out, member{id: id, capacity: capacity, owns: len(f.of(id))})
	}
	return out
}

// step lets all replicas decide from one view, and then act. It returns how many
// partitions were taken, and moved.
func (f *fleet) step(t *testing.T) (taken, moved int) {
	t.Helper()
	after := make(map[PartitionToken]string)
	want, expected := make(map[string]int), make(map[string]int)
	for id := range f.capacity {
		p := share(id, f.members(), f.of(""), f.of(id))
		for _, token := range p.take {
			if after[token] != "" {
				t.Fatalf("%s and %s both take %s", after[token], id, token)
			}
			after[token] = id
			taken++
		}
		for token, to := range p.give {
			if f.owner[token] != id {
				t.Fatalf("%s gives %s, which is %q's", id, token, f.owner[token])
			}
			after[token] = to
			moved++
			expected[to]++
		}
		want[id] = p.want
	}
	for id := range f.capacity {
		if want[id] != expected[id] {
			t.Fatalf("%s expects %d partitions, and is given %d", id, want[id], expected[id])
		}
	}
	for token, id := range after {
		f.owner[token] = id
	}
	return taken, moved
}

func (f *fleet) String() string {
	var out []string
	for _, id := range append(slices.Sorted(keysOf(f.capacity)), "") {
		out = append(out, fmt.Sprintf("%s:%d", id, len(f.of(id))))
	}
	return strings.TrimSuffix(strings.Join(out, " "), " :0")
}

func keysOf(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (f *fleet) expect(t *testing.T, taken, moved int, want string) {
	t.Helper()
	gotTaken, gotMoved := f.step(t)
	if gotTaken != taken || gotMoved != moved || f.String() != want {
		t.Fatalf("took %d, moved %d, and has %s; want %d, %d, %s", gotTaken, gotMoved, f, taken, moved, want)
	}
}

// Scenario 20: the fleet grows from one to five, and shrinks to two.
func TestShare_AFleetThatGrowsAndShrinksStaysEven(t *testing.T) {
	f := newFleet(22, "a")
	f.expect(t, 22, 0, "a:22")
	f.join("b")
	f.expect(t, 0, 11, "a:11 b:11")
	f.join("c")
	f.expect(t, 0, 7, "a:8 b:7 c:7")
	f.expect(t, 0, 0, "a:8 b:7 c:7")
	f.join("d", "e")
	f.expect(t, 0, 8, "a:5 b:5 c:4 d:4 e:4")
	f.die("b") // its leases have run out
	f.expect(t, 5, 0, "a:6 c:6 d:5 e:5")
	f.leave("a") // nothing is left to be taken
	f.expect(t, 0, 0, "c:8 d:7 e:7")
	f.leave("e")
	f.expect(t, 0, 0, "c:11 d:11")
}

// Nothing moves that need not: a difference of one is no reason.
func TestShare_NothingMovesWithoutNeed(t *testing.T) {
	f := newFleet(5, "a", "b", "c")
	f.expect(t, 5, 0, "a:2 b:2 c:1")
	f.owner["p000"], f.owner["p001"], f.owner["p002"], f.owner["p003"], f.owner["p004"] = "c", "c", "b", "b", "a"
	f.expect(t, 0, 0, "a:1 b:2 c:2")
	// Splits and merges at one replica move nothing before they make up for two.
	f.owner["p005"] = "a"
	f.expect(t, 0, 0, "a:2 b:2 c:2")
	f.owner["p006"] = "b"
	f.expect(t, 0, 0, "a:2 b:3 c:2")
	f.owner["p007"] = "b"
	f.expect(t, 0, 1, "a:3 b:3 c:2")
}

// A rolling restart: each replica leaves, and a new one comes.
func TestShare_ARollingRestartMovesNoMoreThanItMust(t *testing.T) {
	f := newFleet(30, "a1", "b1", "c1")
	f.expect(t, 30, 0, "a1:10 b1:10 c1:10")
	for i, step := range []string{"b1:10 c1:10 a2:10", "a2:10 b2:10 c1:10", "a2:10 b2:10 c2:10"} {
		old := []string{"a1", "b1", "c1"}[i]
		f.leave(old)
		f.expect(t, 0, 0, f.String())
		f.join(strings.Replace(old, "1", "2", 1))
		if _, moved := f.step(t); moved != 10 {
			t.Errorf("%d partitions moved to the newcomer, want 10 (%s)", moved, step)
		}
	}
	f.expect(t, 0, 0, "a2:10 b2:10 c2:10")
}

// MAX_PARTITIONS of each replica is kept, and what nobody has room for is known
// to all.
func TestShare_LimitsAreKept(t *testing.T) {
	f := newFleet(20, "a", "b", "c")
	f.capacity["a"], f.capacity["b"] = 3, 6
	f.expect(t, 20, 0, "a:3 b:6 c:11")
	f.die("c")
	f.expect(t, 0, 0, "a:3 b:6 :11")
	for id := range f.capacity {
		if p := share(id, f.members(), f.of(""), f.of(id)); p.beyond != 11 || p.want != 0 {
			t.Errorf("%s: %+v", id, p)
		}
	}
	f.join("d")
	f.expect(t, 11, 0, "a:3 b:6 d:11")
	if p := share("d", f.members(), f.of(""), f.of("d")); p.beyond != 0 {
		t.Errorf("%+v", p)
	}
}

// Whatever happens, one round makes the fleet even, and the next changes nothing.
func TestShare_OneRoundIsEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		f := newFleet(random.IntN(60))
		for i := range 1 + random.IntN(7) {
			f.join(fmt.Sprint("r", i))
			f.capacity[fmt.Sprint("r", i)] = max(0, random.IntN(30)-10)
		}
		ids := append(slices.Sorted(keysOf(f.capacity)), "")
		for token := range f.owner {
			id := ids[random.IntN(len(ids))]
			if limit := f.capacity[id]; limit == 0 || len(f.of(id)) < limit {
				f.owner[token] = id
			}
		}
		before := f.String()
		f.step(t)
		low, high, unlimited := 1<<30, 0, 0
		for id, limit := range f.capacity {
			n := len(f.of(id))
			if high = max(high, n); limit == 0 || n < limit {
				low, unlimited = min(low, n), unlimited+1
			}
			if limit > 0 && n > limit {
				t.Fatalf("%s became %s: %s may have %d", before, f, id, limit)
			}
		}
		if unlimited > 0 && (high > low+1 || len(f.of("")) > 0) {
			t.Fatalf("%s became %s", before, f)
		}
		if taken, moved := f.step(t); taken+moved > 0 {
			t.Fatalf("%s became %s, and moved on", before, f)
		}
	}
}
