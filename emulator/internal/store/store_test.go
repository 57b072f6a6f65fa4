package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTable_AgreesWithAModel writes and prunes at random and compares reads at
// every timestamp with a copy of the table as it was then.
func TestTable_AgreesWithAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	table, history := NewTable(), []map[string]int{{}}
	for at := Timestamp(1); at <= 300; at++ {
		now := map[string]int{}
		for k, v := range history[at-1] {
			now[k] = v
		}
		key := fmt.Sprintf("k%02d", r.IntN(20))
		if r.IntN(3) == 0 {
			delete(now, key)
			table.Put(key, nil, at)
		} else {
			now[key] = int(at)
			table.Put(key, Row{int(at)}, at)
		}
		history = append(history, now)
	}
	const horizon = 150
	for i := range 20 {
		table.Prune(fmt.Sprintf("k%02d", i), horizon)
	}
	for at := Timestamp(horizon); at <= 300; at++ {
		var got, want []string
		table.Scan("k05", "k15", at, func(key string, row Row) bool {
			got = append(got, fmt.Sprint(key, row[0]))
			return true
		})
		for k, v := range history[at] {
			if k >= "k05" && k < "k15" {
				want = append(want, fmt.Sprint(k, v))
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("at %d: got %v, want %v", at, got, want)
		}
	}
	if table.Len() != len(history[300]) {
		t.Errorf("%d live rows, want %d", table.Len(), len(history[300]))
	}
}

func TestTable_PruneForgetsDeletedKeys(t *testing.T) {
	table := NewTable()
	table.Put("a", Row{1}, 1)
	table.Put("a", nil, 2)
	table.Prune("a", 2)
	if n := table.tree.Len(); n != 0 {
		t.Errorf("%d keys are still held", n)
	}
}
