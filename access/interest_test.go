package access

import (
	"strings"
	"testing"
)

func TestInterest_EstimatesWhatSubscriptionsTake(t *testing.T) {
	i := NewInterest(0)
	i.On("Orders/", "alice")
	one := i.weight
	i.On("Orders/", "bob")
	if i.weight >= 2*one || i.weight <= one {
		t.Errorf("%d, and then %d for the same prefix once more", one, i.weight)
	}
	for n := range 100 {
		i.On(strings.Repeat("x", n+1), "mallory")
	}
	if who := i.greediest(); who != "mallory" {
		t.Errorf("the greediest is %s", who)
	}
	i.Off("Orders/", "")
	i.Off("Orders/", "alice")
	i.Off("never was", "alice")
	for n := range 100 {
		i.Off(strings.Repeat("x", n+1), "")
	}
	if i.weight != 0 || len(i.prefixes) != 0 {
		t.Errorf("%d bytes, %d prefixes are left", i.weight, len(i.prefixes))
	}
}
