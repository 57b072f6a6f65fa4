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

// cut ends connections that take least of what waits for them, if others take
// more: one, or as many as may be of those that take nothing at all. It tells
// whether there are such.
func (p *peers) cut(most int) bool {
	then, now := p.past, p.take(time.Now())
	if then.at.IsZero() || p.recent.at.Before(now.at.Add(-sampleAge)) {
		then = p.recent
	}
	if now.at.Sub(p.recent.at) >= sampleAge { // who took something at first may have stopped
		p.past, p.recent = p.recent, now
	}
	slow := slowest(then, now)
	for _, e := range slow[:min(len(slow), most)] {
		fd := now.traffic[e].fd
		delete(p.known, fd)
		if descriptor.Shut(fd, e) { // otherwise it has ended by itself
			p.ended++
			p.log.Warn("a subscriber does not take large messages as fast as they come; its connection is ended, and it misses what was queued", "peer", e.Remote.String())
		}
	}
	return len(slow) > 0
}

// slowest finds the peers that have taken nothing of what waited for them all the
// time or, if there are none, the one that has taken least. It finds none if all
// are as slow: then none of them is to blame.
func slowest(then, now sample) (slow []descriptor.Ends) {
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
	slices.SortFunc(held, func(a, b pace) int { return cmp.Compare(a.taken, b.taken) })
	for i, h := range held {
		if h.taken == 0 || i == 0 && 2*h.taken <= fast {
			slow = append(slow, h.Ends)
		}
	}
	return slow
}
