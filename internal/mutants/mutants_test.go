package mutants

import (
	"slices"
	"testing"
)

func TestOf_IsTheSameInEveryRunAndSeldomTheSeed(t *testing.T) {
	const seed, n = "SELECT 'a', 42 FROM T", 500
	first, second := slices.Collect(Of(seed, n)), slices.Collect(Of(seed, n))
	if !slices.Equal(first, second) || len(first) != n {
		t.Fatalf("%d and %d inputs, not the same twice", len(first), len(second))
	}
	slices.Sort(first)
	if distinct := len(slices.Compact(first)); distinct < n*9/10 {
		t.Errorf("%d of %d inputs are different", distinct, n)
	}
}

func TestOf_LeavesTheSeedAlone(t *testing.T) {
	seed := []byte("abcdefgh")
	for range Of(seed, 100) {
		if string(seed) != "abcdefgh" {
			t.Fatalf("the seed became %q", seed)
		}
	}
	for got := range Of([]byte(nil), 10) {
		if got == nil {
			t.Error("an empty seed gives nothing")
		}
	}
}
