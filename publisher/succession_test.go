package publisher

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spancast/spancast/message"
)

func TestSuccession_NamesThoseThatAreGone(t *testing.T) {
	s := new(succession)
	see := func(epochs ...string) string {
		var endpoints []message.Endpoint
		for _, e := range epochs {
			endpoints = append(endpoints, message.Endpoint{Epoch: e})
		}
		return strings.Join(s.see(endpoints), " ")
	}
	for _, c := range []struct{ now, former string }{
		{"a", ""}, {"a b c", ""}, {"a c", "b"}, {"a", "b c"}, {"a c", "b"}, {"a", "b c"},
	} {
		if got := see(strings.Fields(c.now)...); got != c.former {
			t.Errorf("former of %s: %q, want %q", c.now, got, c.former)
		}
	}
	for i := range 3 * maxFormer {
		see("a", fmt.Sprint(i))
	}
	if got := strings.Fields(see("a")); len(got) != maxFormer || got[maxFormer-1] != fmt.Sprint(3*maxFormer-1) {
		t.Errorf("%d former, the last %s", len(got), got[len(got)-1])
	}
}
