package publisher

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/descriptor"
)

// publishLarge publishes a change with a value of so many bytes.
func publishLarge(t *testing.T, sink changestream.Sink, i, size int) {
	t.Helper()
	rec := record(changestream.ModUpdate, i, 1)
	rec.Mods[0].NewValues = []byte(`{"email":"` + strings.Repeat("x", size) + `"}`)
	check(t, sink.Change(rec))
	check(t, sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime}))
}

// most watches how much waits in ZeroMQ, and returns the most when it is called.
func most(t *testing.T, p *running) func() int64 {
	var high atomic.Int64
	done := make(chan bool)
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for range tick.C {
			n := p.outlets[0].socket.ballast.waiting()
			high.Store(max(high.Load(), n))
			select {
			case done <- true:
				return
			default:
			}
		}
	}()
	return func() int64 {
		<-done
		return high.Load()
	}
}

// TestHeavy_OneStalledSubscriberLosesAlone: messages of 1 MB, and a subscriber
// that stops reading. What waits for it is bounded in bytes, long before it
// comes to SEND_HWM messages; another subscriber gets everything, and the one
// that had stopped is told of its loss when it reads again.
func TestHeavy_OneStalledSubscriberLosesAlone(t *testing.T) {
	const n, size, limit = 120, 1 << 20, 16 << 20
	p := start(t, func(o *Options) { o.MaxBuffer = limit })
	highest := most(t, p)
	stalled := subscribeSlow(t, bound(p, ""), "Users/")
	stalled.until("Users/$resolved/")
	reader := p.subscribe(t, "Users/UPDATE/")
	reader.until("Users/UPDATE/$resolved/")
	sink := p.Sink(changestream.Partition{})
	for i := range n {
		publishLarge(t, sink, i, size)
		g := reader.change()
		if c, _ := g.header.Counter(2); c != uint64(i+1) {
			t.Fatalf("message %d has counter %d", i+1, c)
		}
	}
	if high := highest(); high > limit || high < limit/2 {
		t.Errorf("%d bytes waited at most, of %d", high, limit)
	}
	if p.Stats().Slow.Load() == 0 {
		t.Error("nobody was noticed to be slow")
	}
	last, jumped := uint64(0), false
	for last < n {
		g := stalled.receive()
		c, _ := g.header.Counter(1)
		jumped = jumped || c > last+1
		last = max(last, c)
	}
	if !jumped {
		t.Error("the subscriber that had stalled has missed nothing")
	}
}

// TestHeavy_BlockWaitsForRoom: with that policy nothing is lost while everybody
// reads, however little room there is.
func TestHeavy_BlockWaitsForRoom(t *testing.T) {
	const n, size, limit = 100, 1 << 20, 3 << 20
	p := start(t, func(o *Options) { o.MaxBuffer, o.Slow, o.BlockTimeout = limit, SlowBlock, time.Minute })
	highest := most(t, p)
	reader := p.subscribe(t, "Users/")
	reader.until("Users/$resolved/")
	go func() {
		sink := p.Sink(changestream.Partition{})
		for i := range n {
			publishLarge(t, sink, i, size)
		}
	}()
	for i := range n {
		g := reader.change()
		if c, _ := g.header.Counter(1); c != uint64(i+1) {
			t.Fatalf("message %d has counter %d", i+1, c)
		}
	}
	if high := highest(); high > limit {
		t.Errorf("%d bytes waited at most, of %d", high, limit)
	}
	if n := p.Stats().Slow.Load(); n > 0 {
		t.Errorf("%d times somebody was slow", n)
	}
}

// TestHeavy_AloneAndStalled: a subscriber that reads nothing, and is the only
// one, is bounded as well, holds nobody up, and is told what it has lost.
func TestHeavy_AloneAndStalled(t *testing.T) {
	const n, size, limit = 200, 1 << 20, 4 << 20
	p := start(t, func(o *Options) { o.MaxBuffer = limit })
	highest := most(t, p)
	stalled := subscribeSlow(t, bound(p, ""), "Users/")
	stalled.until("Users/$resolved/")
	sink := p.Sink(changestream.Partition{})
	for i := range n {
		publishLarge(t, sink, i, size)
	}
	check(t, p.Drained(context.Background()))
	if high := highest(); high > limit {
		t.Errorf("%d bytes waited at most, of %d", high, limit)
	}
	for {
		g := stalled.receive()
		if c, _ := g.header.Counter(1); c == n && g.topic == "Users/$resolved/" {
			return
		}
	}
}

// TestSlowest_IsWhoTakesLeastOfWhatWaits is the rule by which a connection is
// chosen.
func TestSlowest_IsWhoTakesLeastOfWhatWaits(t *testing.T) {
	to := func(port uint16) descriptor.Ends {
		return descriptor.Ends{Remote: netip.AddrPortFrom(netip.Addr{}, port)}
	}
	a, b, c := to(1), to(2), to(3)
	then := map[descriptor.Ends]traffic{a: {taken: 100, waiting: 50}, b: {taken: 100, waiting: 50}, c: {taken: 100}}
	for name, test := range map[string]struct {
		now  map[descriptor.Ends]traffic
		want descriptor.Ends
	}{
		"one takes nothing":          {map[descriptor.Ends]traffic{a: {taken: 100, waiting: 50}, b: {taken: 900, waiting: 50}}, a},
		"one alone takes nothing":    {map[descriptor.Ends]traffic{a: {taken: 100, waiting: 50}}, a},
		"one takes little":           {map[descriptor.Ends]traffic{a: {taken: 900, waiting: 50}, b: {taken: 200, waiting: 50}}, b},
		"as little as another":       {map[descriptor.Ends]traffic{a: {taken: 900, waiting: 50}, b: {taken: 800, waiting: 50}}, descriptor.Ends{}},
		"nothing waits for it":       {map[descriptor.Ends]traffic{a: {taken: 900, waiting: 50}, b: {taken: 100}}, descriptor.Ends{}},
		"nothing waited for it":      {map[descriptor.Ends]traffic{a: {taken: 900, waiting: 50}, c: {taken: 100, waiting: 50}}, descriptor.Ends{}},
		"less than one that is done": {map[descriptor.Ends]traffic{a: {taken: 300, waiting: 50}, c: {taken: 900}}, a},
	} {
		var want []descriptor.Ends
		if test.want != (descriptor.Ends{}) {
			want = []descriptor.Ends{test.want}
		}
		if got := slowest(sample{traffic: then}, sample{traffic: test.now}); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := slowest(sample{traffic: then}, sample{traffic: then}); len(got) != 2 {
		t.Errorf("two take nothing: %v", got)
	}
}
