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
	of := func(taken, waiting int64) traffic {
		return traffic{Traffic: descriptor.Traffic{Taken: taken, Waiting: waiting}}
	}
	type all = map[descriptor.Ends]traffic
	then := sample{traffic: all{a: of(100, 50), b: of(100, 50), c: of(100, 0)}}
	none := descriptor.Ends{}
	for name, test := range map[string]struct {
		now  all
		want descriptor.Ends
	}{
		"one takes nothing":          {all{a: of(100, 50), b: of(900, 50)}, a},
		"one alone takes nothing":    {all{a: of(100, 50)}, a},
		"one takes little":           {all{a: of(900, 50), b: of(200, 50)}, b},
		"as little as another":       {all{a: of(900, 50), b: of(800, 50)}, none},
		"nothing waits for it":       {all{a: of(900, 50), b: of(100, 0)}, none},
		"nothing waited for it":      {all{a: of(900, 50), c: of(100, 50)}, none},
		"less than one that is done": {all{a: of(300, 50), c: of(900, 0)}, a},
	} {
		var want []descriptor.Ends
		if test.want != none {
			want = []descriptor.Ends{test.want}
		}
		if got := slowest([]sample{then, {traffic: test.now}}); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := slowest([]sample{then, then}); len(got) != 2 {
		t.Errorf("two take nothing: %v", got)
	}
	if got := slowest([]sample{then}); len(got) != 0 {
		t.Errorf("nobody has had the time to take anything: %v", got)
	}
	done := sample{traffic: all{a: of(100, 0), b: of(100, 50)}}
	if got := slowest([]sample{then, done, then}); !slices.Equal(got, []descriptor.Ends{b}) {
		t.Errorf("one had taken everything in between: %v", got)
	}
}

// TestPeers_AreJudgedOverSeveralRoundTrips: the longer the way, the longer the time,
// and not without a sample that is old enough.
func TestPeers_AreJudgedOverSeveralRoundTrips(t *testing.T) {
	now := time.Now()
	for way, want := range map[time.Duration]time.Duration{0: over, 100 * time.Millisecond: over, 300 * time.Millisecond: 900 * time.Millisecond, time.Minute: sampleFor} {
		s := sample{traffic: map[descriptor.Ends]traffic{
			{}: {Traffic: descriptor.Traffic{Waiting: 1, Way: way}},
			{Local: netip.AddrPortFrom(netip.Addr{}, 1)}: {Traffic: descriptor.Traffic{Way: time.Hour}}, // for whom nothing waits
		}}
		if got := s.over(); got != want {
			t.Errorf("%s away: judged over %s, want %s", way, got, want)
		}
	}
	p := newPeers(discard)
	for i := range 30 {
		if at, wait := now.Add(time.Duration(i)*sampleEvery), max(0, over-time.Duration(i)*sampleEvery); max(0, p.unripe(at)) != wait {
			t.Errorf("sample %d: to wait %s, want %s", i, p.unripe(at), wait)
		}
	}
	last := now.Add(29 * sampleEvery)
	if n := len(p.latest); n != int(over/sampleEvery)+1 || len(p.since(last.Add(-over))) != n || len(p.since(last.Add(-over-1))) != 0 {
		t.Errorf("%d samples, %d for the time", n, len(p.since(last.Add(-over))))
	}
	if wait := p.unripe(last.Add(sampleFor + 1)); wait != over || len(p.latest) != 1 {
		t.Errorf("after a pause: %s, %d samples", wait, len(p.latest))
	}
}
