package publisher

import (
	"fmt"
	"testing"

	"github.com/spancast/spancast/test/harness"
)

// TestSubscriptions_AreCountedOnceForEachConnection: nobody who asks for something
// twice, or takes back what he has not asked for, changes what is counted for
// others, or after he has gone, however much he asks for besides. REQUIRE_SUBSCRIBER
// goes by that.
func TestSubscriptions_AreCountedOnceForEachConnection(t *testing.T) {
	p := start(t, nil)
	other := p.subscribe(t, "")
	other.until("$resolved/")
	counts := func(n int64) func() bool { return func() bool { return p.Stats().Subscriptions.Load() == n } }
	c := harness.Raw(t, p.Endpoints()[0])
	c.Asks("-", "-", "-a/", "+b/", "+b/", "+b/", "+c/")
	c.Until("c/$resolved/") // the last of it was read
	if n := p.Stats().Subscriptions.Load(); n != 3 {
		t.Errorf("%d subscriptions, want those of the other, b/ and c/", n)
	}
	for i := range 40 {
		c.Asks(fmt.Sprintf("+%d/", i), fmt.Sprintf("+%d/", i))
	}
	c.Asks("-", "-", "-39/", "-39/", "+d/")
	c.Until("d/$resolved/")
	if n := p.Stats().Subscriptions.Load(); n != 3+39+1 {
		t.Errorf("%d subscriptions", n)
	}
	check(t, c.Close())
	waitFor(t, "it to have gone", counts(1))
	check(t, other.z.Close())
	waitFor(t, "nobody to be subscribed", counts(0))
}
