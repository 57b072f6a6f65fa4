package publisher

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
)

// TestSurvey_TellsWhoIsThere: identity, address and topics of every subscriber,
// those who take some back, and not those who have gone.
func TestSurvey_TellsWhoIsThere(t *testing.T) {
	alice, bob := newKey(t), newKey(t)
	p, _ := gated(t, identities(map[string]access.SecretKey{"alice": alice, "bob": bob}), nil)
	a := subscribeAt(t, p.Bound(access.Everyone)[0], alice, "Users/", "Orders/")
	b := subscribeAt(t, p.Bound(access.Everyone)[0], bob, "")
	a.until("Users/$resolved/")
	b.until("$resolved/")
	look := func(want ...string) func() bool {
		return func() bool {
			var got []string
			for _, s := range p.Survey().Subscribers {
				if s.Audience != access.Everyone || !strings.HasPrefix(s.Peer, "127.0.0.1:") || s.Since.IsZero() {
					return false
				}
				slices.Sort(s.Prefixes)
				got = append(got, fmt.Sprintf("%s %q", s.Identity, s.Prefixes))
			}
			slices.Sort(got)
			return slices.Equal(got, want)
		}
	}
	waitFor(t, "both to show", look(`alice ["Orders/" "Users/"]`, `bob [""]`))
	check(t, a.z.SetUnsubscribe("Orders/"))
	waitFor(t, "a topic to go", look(`alice ["Users/"]`, `bob [""]`))
	check(t, b.z.Close())
	waitFor(t, "bob to go", look(`alice ["Users/"]`))
	if s := p.Survey(); len(s.Audiences) != 1 || s.Audiences[0].Name != access.Everyone || s.Audiences[0].Subscribers != 1 {
		t.Errorf("%+v", s.Audiences)
	}
}

// TestSurvey_ShowsWhoIsSlow: what waits for a subscriber that does not read shows
// with its name, and what the audience has lost.
func TestSurvey_ShowsWhoIsSlow(t *testing.T) {
	p := start(t, func(o *Options) { o.SendHWM = 10 })
	quick := p.subscribe(t, "Orders/")
	subscribeSlow(t, p.Bound("")[0], "Users/")
	quick.until("Orders/$resolved/")
	sink := p.Sink(changestream.Partition{})
	waitFor(t, "a message to be lost", func() bool {
		check(t, sink.Change(record(changestream.ModUpdate, 0, 1000)))
		flush(t, sink)
		return p.Stats().Slow.Load() > 0
	})
	waitFor(t, "it to show", func() bool {
		s := p.Survey()
		return len(s.Subscribers) == 2 && s.Subscribers[0].Unsent > 0 && slices.Equal(s.Subscribers[0].Prefixes, []string{"Users/"}) &&
			s.Subscribers[1].Unsent == 0 && len(s.Audiences) == 1 && s.Audiences[0].Dropped > 0
	})
}
