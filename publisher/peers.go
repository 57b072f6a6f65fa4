package publisher

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spancast/spancast/internal/descriptor"
)

// peers are the connections of a socket, as far as subscriptions came over them,
// and how much they take. libzmq tells neither which queue is long nor when a
// connection has ended, so the kernel is asked.
type peers struct {
	log    *slog.Logger
	known  map[int]descriptor.Ends // by descriptor
	past   sample
	recent sample
	ended  uint64 // connections
}

// A sample is what the kernel says of all connections at one time.
type sample struct {
	at      time.Time
	traffic map[descriptor.Ends]traffic
}

// traffic is how many bytes a peer has acknowledged, and how many wait in the
// kernel for him to do so.
type traffic struct {
	fd             int
	taken, waiting int64
}

const (
	// maxKnown bounds the connections that are known.
	maxKnown = 100_000
	// sampleAge is over which time it is looked how much a peer takes.
	sampleAge = 100 * time.Millisecond
)

func newPeers(log *slog.Logger) *peers { return &peers{log: log, known: make(map[int]descriptor.Ends)} }

// note notes over which descriptor a message came from an address.
func (p *peers) note(number, address string) {
	fd, err := strconv.Atoi(number)
	if err != nil || len(p.known) >= maxKnown {
		return
	}
	peer, err := netip.ParseAddr(address)
	if e, ok := descriptor.EndsOf(fd); ok && err == nil && e.Remote.Addr() == peer.Unmap() {
		p.known[fd] = e
	}
}

// observe takes a sample, if the latest one is not of just now.
func (p *peers) observe(now time.Time) {
	if now.Sub(p.recent.at) >= sampleAge {
		p.past, p.recent = p.recent, p.take(now)
	}
}

// unripe is how long to wait until there is a sample that is old enough.
func (p *peers) unripe(now time.Time) time.Duration {
	if p.recent.at.IsZero() {
		p.recent = p.take(now)
	}
	if p.past.at.IsZero() {
		return sampleAge - now.Sub(p.recent.at)
	}
	return 0
}

// take takes a sample, and forgets connections that have ended.
func (p *peers) take(now time.Time) sample {
	s := sample{at: now, traffic: make(map[descriptor.Ends]traffic, len(p.known))}
	for fd, e := range p.known {
		taken, waiting, ok := descriptor.Traffic(fd, e)
		if !ok {
			delete(p.known, fd)
			continue
		}
		s.traffic[e] = traffic{fd, taken, waiting}
	}
	return s
}

// cut ends the connection that has taken least of what waits for it, if others
// take more. It tells whether there is one.
func (p *peers) cut() bool {
	then, now := p.past, p.take(time.Now())
	if then.at.IsZero() || p.recent.at.Before(now.at.Add(-sampleAge)) {
		then = p.recent
	}
	slow, found := slowest(then, now)
	if !found {
		return false
	}
	fd := now.traffic[slow].fd
	delete(p.known, fd)
	if !descriptor.Shut(fd, slow) {
		return len(p.known) > 0 // it has ended by itself
	}
	p.ended++
	p.log.Warn("a subscriber does not take large messages as fast as they come; its connection is ended, and it misses what was queued", "peer", slow.Remote.String())
	return true
}

// slowest finds the peer that has taken least of what waited for it all the
// time. There is none if all are as slow: then none of them is to blame.
func slowest(then, now sample) (slow descriptor.Ends, found bool) {
	type pace struct {
		descriptor.Ends
		taken int64
	}
	var held []pace // those for whom something waits
	fast := int64(0)
	for e, t := range now.traffic {
		before, ok := then.traffic[e]
		if ok && before.waiting > 0 && t.waiting > 0 {
			held = append(held, pace{e, t.taken - before.taken})
			fast = max(fast, t.taken-before.taken)
		} else if ok && t.waiting == 0 {
			fast = max(fast, t.taken-before.taken)
		}
	}
	if len(held) == 0 {
		return slow, false
	}
	least := slices.MinFunc(held, func(a, b pace) int { return cmp.Compare(a.taken, b.taken) })
	return least.Ends, least.taken == 0 || 2*least.taken <= fast
}
