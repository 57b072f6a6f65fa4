package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/topics"
)

var discard = slog.New(slog.DiscardHandler)

// testPatience is how long tests wait for what should come soon.
const testPatience = 60 * time.Second

// subscribeAt subscribes at an endpoint, with a key if there is one.
func subscribeAt(t *testing.T, at access.Bound, key access.SecretKey, prefixes ...string) *subscriber {
	t.Helper()
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(zmq.SUB)
	check(t, err)
	t.Cleanup(func() { z.SetLinger(0); z.Close(); ctx.Term() })
	check(t, errors.Join(z.SetRcvtimeo(testPatience), z.SetRcvhwm(0), z.SetReconnectIvl(20*time.Millisecond)))
	for _, p := range prefixes {
		check(t, z.SetSubscribe(p))
	}
	if !key.IsZero() {
		check(t, access.SecureClient(z, key, at.Key))
	}
	check(t, z.Connect(at.Endpoint))
	return &subscriber{t, z}
}

// tableRecord is a record of another table than record's.
func tableRecord(table string, seq, n int) *changestream.DataChangeRecord {
	rec := record(changestream.ModUpdate, seq, n)
	schema := *rec.Schema
	schema.Table = table
	rec.Schema = &schema
	return rec
}

func flush(t testing.TB, s changestream.Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	check(t, s.Flush(ctx, changestream.Mark{Progress: leased(), Position: commitTime}))
}

func bound(p *running, audience string) access.Bound { return p.Bound(audience)[0] }

// threeAudiences publishes to some, to one table of them, and to everybody.
func threeAudiences(o *Options) {
	local := []string{"tcp://127.0.0.1:*"}
	o.Bind = nil
	o.Audiences = []Audience{
		{Name: "sales", Topics: []string{"Orders/", "Invoices/"}, Bind: local, Hello: func() message.HelloBody { return message.HelloBody{Server: "sales"} }},
		{Name: "updates", Topics: []string{"Orders/UPDATE/"}, Bind: local},
		{Name: "all", Topics: []string{""}, Bind: local},
	}
}

// TestAudiences_CountWhatTheyCarry: the counters of a level that an audience
// sees in part have no gaps there, and nothing else comes out.
func TestAudiences_CountWhatTheyCarry(t *testing.T) {
	p := start(t, threeAudiences)
	sales, updates, all := subscribeAt(t, bound(p, "sales"), access.SecretKey{}, ""), subscribeAt(t, bound(p, "updates"), access.SecretKey{}, ""), subscribeAt(t, bound(p, "all"), access.SecretKey{}, "")
	for _, s := range []*subscriber{sales, updates, all} {
		s.until("$resolved/")
	}
	sink := p.Sink(changestream.Partition{})
	for i, table := range []string{"Users", "Orders", "Users", "Invoices", "OrdersArchive", "Orders"} {
		check(t, sink.Change(tableRecord(table, i, 1)))
	}
	insert := tableRecord("Orders", 7, 1)
	insert.ModType = changestream.ModInsert
	check(t, sink.Change(insert))
	flush(t, sink)
	flush(t, sink)
	go p.stop()
	want := map[*subscriber][]string{
		sales:   {"Orders/UPDATE/ 1/1/1", "Invoices/UPDATE/ 2/1/1", "Orders/UPDATE/ 3/2/2", "Orders/INSERT/ 4/3/1"},
		updates: {"Orders/UPDATE/ 1/1/1", "Orders/UPDATE/ 2/2/2"},
		all: {"Users/UPDATE/ 1/1/1", "Orders/UPDATE/ 2/1/1", "Users/UPDATE/ 3/2/2", "Invoices/UPDATE/ 4/1/1", "OrdersArchive/UPDATE/ 5/1/1",
			"Orders/UPDATE/ 6/2/2", "Orders/INSERT/ 7/3/1"},
	}
	for s, lines := range want {
		var got []string
		for {
			m := s.receive()
			if m.topic == message.Bye {
				var bye message.ByeBody
				check(t, json.Unmarshal([]byte(m.body), &bye))
				if bye.Counters[""] != uint64(len(lines)) || s != all && bye.Counters["Users/"] != 0 {
					t.Errorf("goodbye: %+v", bye)
				}
				break
			}
			if level, _, control := message.Control(m.topic); !control {
				got = append(got, m.topic+" "+string(m.header.Counters))
			} else if s != all && strings.HasPrefix(level, "Users") {
				t.Errorf("%s", m.topic)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("got  %q\nwant %q", got, lines)
		}
	}
}

func TestAudiences_SayHelloForThemselves(t *testing.T) {
	p := start(t, threeAudiences)
	if g := subscribeAt(t, bound(p, "sales"), access.SecretKey{}, "$hello/").until("$hello/"); !strings.Contains(g.body, `"server":"sales"`) {
		t.Error(g.body)
	}
}

// TestAudiences_OfRowsAreToldApartByTopic: what depends on the row is looked at
// message by message.
func TestAudiences_OfRowsAreToldApartByTopic(t *testing.T) {
	template, err := topics.ParseTemplate("{table}/{key}/")
	check(t, err)
	router := topics.New("shop", "Everything", template, nil)
	p := start(t, func(o *Options) {
		threeAudiences(o)
		o.Audiences = []Audience{{Name: "one", Topics: []string{"Users/1/"}, Bind: o.Audiences[0].Bind}}
		o.Router = func() *topics.Router { return router }
	})
	s := subscribeAt(t, bound(p, "one"), access.SecretKey{}, "")
	s.until("$resolved/")
	sink := p.Sink(changestream.Partition{})
	check(t, sink.Change(record(changestream.ModUpdate, 0, 20)))
	check(t, sink.Change(record(changestream.ModUpdate, 1, 2)))
	flush(t, sink)
	for _, counters := range []string{"1/1", "2/2"} {
		if m := s.change(); m.topic != "Users/1/" || string(m.header.Counters) != counters {
			t.Errorf("%s %s", m.topic, m.header.Counters)
		}
	}
}

// TestAudiences_WhatNobodySeesCostsNothing: it does not become a message.
func TestAudiences_WhatNobodySeesCostsNothing(t *testing.T) {
	p := start(t, func(o *Options) { threeAudiences(o); o.Audiences = o.Audiences[:2] })
	s := p.Sink(changestream.Partition{}).(*sink)
	for i := range 100 {
		check(t, s.Change(tableRecord("Users", i, 10)))
	}
	if n := len(s.batch.entries); n != 0 || len(s.batch.data) > 100*300 {
		t.Errorf("%d messages, %d bytes", n, len(s.batch.data))
	}
	check(t, s.Change(tableRecord("Orders", 0, 10)))
	if n := len(s.batch.entries); n != 10 {
		t.Errorf("%d messages, want 10", n)
	}
	flush(t, s)
}

func TestSetTopics_TakesEffectWhileMessagesFlow(t *testing.T) {
	p := start(t, threeAudiences)
	s := subscribeAt(t, bound(p, "updates"), access.SecretKey{}, "")
	s.until("$resolved/")
	sink := p.Sink(changestream.Partition{})
	send := func() {
		t.Helper()
		check(t, sink.Change(tableRecord("Orders", 0, 1)))
		check(t, sink.Change(tableRecord("Users", 0, 1)))
		flush(t, sink)
		check(t, p.Drained(context.Background()))
	}
	send()
	p.SetTopics("updates", []string{"Users/"})
	send()
	p.SetTopics("updates", []string{"Users/", "Orders/"})
	send()
	for _, want := range []string{"Orders/UPDATE/ 1/1/1", "Users/UPDATE/ 2/1/1", "Orders/UPDATE/ 3/2/2", "Users/UPDATE/ 4/2/2"} {
		if m := s.change(); m.topic+" "+string(m.header.Counters) != want {
			t.Errorf("%s %s, want %s", m.topic, m.header.Counters, want)
		}
	}
}

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
