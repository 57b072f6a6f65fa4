package publisher

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
)

// gated publishes to identities with CURVE.
func gated(t testing.TB, policy string, change func(*Options)) (*running, *access.Gate) {
	t.Helper()
	p, err := access.ParsePolicy([]byte(policy))
	check(t, err)
	g := access.NewGate(access.NewBook(p, time.Now), []access.SecretKey{newKey(t)}, 100, discard)
	r := start(t, func(o *Options) {
		o.Gate, o.Audiences = g, []Audience{{Name: access.Everyone, Topics: []string{""}, Bind: o.Bind}}
		if change != nil {
			change(o)
		}
	})
	return r, g
}

func newKey(t testing.TB) access.SecretKey {
	t.Helper()
	k, err := access.NewKey()
	check(t, err)
	return k
}

func identities(keys map[string]access.SecretKey) string {
	text := "identities:\n"
	for name, k := range keys {
		text += fmt.Sprintf("  - {name: %s, keys: [%q]}\n", name, k.Public())
	}
	return text
}

// stream publishes changes, one every millisecond, until the test ends.
func stream(t *testing.T, p *running) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		sink := p.Sink(changestream.Partition{})
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if sink.Change(record(changestream.ModUpdate, i, 1)) != nil || sink.Flush(ctx, changestream.Mark{Progress: leased(), Position: commitTime}) != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// TestGate_ARevokedKeyLosesItsSession while messages flow; the others of its
// audience connect again and are told by the counters what they have missed.
func TestGate_ARevokedKeyLosesItsSession(t *testing.T) {
	alice, bob := newKey(t), newKey(t)
	p, g := gated(t, identities(map[string]access.SecretKey{"alice": alice, "bob": bob}), nil)
	at := bound(p, access.Everyone)
	a, b := subscribeAt(t, at, alice, ""), subscribeAt(t, at, bob, "")
	stream(t, p)
	a.change()
	b.change()
	policy, err := access.ParsePolicy([]byte(identities(map[string]access.SecretKey{"alice": alice})))
	check(t, err)
	g.Book().SetPolicy(policy)
	revoked := time.Now()
	g.Check()
	// Bob hears what was under way, and then nothing more.
	check(t, b.z.SetRcvtimeo(2*time.Second))
	var last time.Time
	for {
		if _, err := b.z.RecvMessageBytes(0); err != nil {
			break
		}
		if last = time.Now(); last.Sub(revoked) > testPatience {
			t.Fatal("the session goes on")
		}
	}
	t.Logf("the last message came %s after the revocation", last.Sub(revoked))
	if d := last.Sub(revoked); d > 5*time.Second {
		t.Errorf("the last message came %s after the revocation", d)
	}
	// Alice goes on: after the hole, counters are without one again.
	expected, holes := uint64(0), 0
	for range 4000 { // longer than what she missed
		n, _ := a.change().header.Counter(0)
		if expected != 0 && n != expected {
			holes++
		}
		expected = n + 1
		if holes > 0 && n > 2000 {
			break
		}
	}
	if holes > 1 {
		t.Errorf("%d holes", holes)
	}
	if g.Stats().Evictions.Load() != 1 {
		t.Errorf("%d evictions", g.Stats().Evictions.Load())
	}
}

// TestGate_RotatingTheServerKeyLosesNothing for a subscriber that follows the
// documented order: connect with the new key to both places, wait for an answer,
// leave the old one.
func TestGate_RotatingTheServerKeyLosesNothing(t *testing.T) {
	alice := newKey(t)
	p, g := gated(t, identities(map[string]access.SecretKey{"alice": alice}), nil)
	old, next := g.ServerKeys()[0], newKey(t)
	first := bound(p, access.Everyone)
	s := subscribeAt(t, first, alice, "")
	stream(t, p)
	seen := map[uint64]bool{}
	low, high := uint64(0), uint64(0)
	hear := func(until func() bool) {
		t.Helper()
		for end := time.Now().Add(testPatience); !until(); {
			if time.Now().After(end) {
				t.Fatal("waited too long")
			}
			n, _ := s.change().header.Counter(0)
			if low == 0 {
				low = n
			}
			seen[n], high = true, max(high, n)
		}
	}
	hear(func() bool { return len(seen) > 100 })
	// 1. The service has both keys.
	g.SetServerKeys([]access.SecretKey{old, next})
	hear(func() bool { return len(p.Bound(access.Everyone)) == 2 })
	second := p.Bound(access.Everyone)[1]
	// 2. The subscriber connects with the new key, to the place that it has now
	// and to the one that it will have, and leaves the old one when it is heard.
	check(t, access.SecureClient(s.z, alice, next.Public()))
	check(t, s.z.Connect(second.Endpoint))
	welcome := g.Stats().Welcome.Load()
	hear(func() bool { return g.Stats().Welcome.Load() > welcome })
	twice := false
	for last := uint64(0); !twice; { // messages come from both
		n, _ := s.change().header.Counter(0)
		twice, last = n <= last, max(n, last)
		seen[n], high = true, max(high, n)
	}
	check(t, s.z.Disconnect(first.Endpoint))
	check(t, s.z.Connect(first.Endpoint))
	// 3. The new key takes the first place.
	g.SetServerKeys([]access.SecretKey{next, next})
	welcome = g.Stats().Welcome.Load()
	hear(func() bool { return g.Stats().Welcome.Load() > welcome })
	twice = false
	for last := uint64(0); !twice; {
		n, _ := s.change().header.Counter(0)
		twice, last = n <= last, max(n, last)
		seen[n], high = true, max(high, n)
	}
	// 4. The second place is closed.
	g.SetServerKeys([]access.SecretKey{next})
	hear(func() bool { return len(p.Bound(access.Everyone)) == 1 })
	after := high
	hear(func() bool { return high > after+100 })
	for n := low; n <= high; n++ {
		if !seen[n] {
			t.Fatalf("change %d of %d to %d was lost", n, low, high)
		}
	}
}

// TestGate_RotatingAClientKeyLosesNothing: both keys are in the access file for
// a while.
func TestGate_RotatingAClientKeyLosesNothing(t *testing.T) {
	one, two := newKey(t), newKey(t)
	both := fmt.Sprintf("identities: [{name: alice, keys: [%q, %q]}]", one.Public(), two.Public())
	only := fmt.Sprintf("identities: [{name: alice, keys: [%q]}]", two.Public())
	p, g := gated(t, both, nil)
	at := bound(p, access.Everyone)
	s := subscribeAt(t, at, one, "")
	stream(t, p)
	first, _ := s.change().header.Counter(0)
	next := subscribeAt(t, at, two, "")
	from, _ := next.change().header.Counter(0)
	for n := first; n < from; { // until both have the same
		m, _ := s.change().header.Counter(0)
		if m != n+1 {
			t.Fatalf("%d after %d", m, n)
		}
		n = m
	}
	waitFor(t, "both subscriptions to be read", func() bool { return p.Stats().Subscriptions.Load() == 2 })
	check(t, errors.Join(s.z.SetLinger(0), s.z.Close()))
	policy, err := access.ParsePolicy([]byte(only))
	check(t, err)
	waitFor(t, "the end of the old connection", func() bool { return p.Stats().Subscriptions.Load() == 1 })
	g.Book().SetPolicy(policy)
	g.Check()
	last := from
	for range 1000 {
		n, _ := next.change().header.Counter(0)
		if n != last+1 {
			t.Fatalf("%d after %d", n, last)
		}
		last = n
	}
	if n := g.Stats().Evictions.Load(); n != 0 {
		t.Errorf("%d evictions for the sake of a key that nobody was connected with", n)
	}
}

// waitFor waits for a condition.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(testPatience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
