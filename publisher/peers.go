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
	latest []sample                // the oldest first
	ended  uint64                  // connections
}

// A sample is what the kernel says of all connections at one time.
type sample struct {
	at      time.Time
	traffic map[descriptor.Ends]traffic
}

// traffic is how a connection fares.
type traffic struct {
	fd int
	descriptor.Traffic
}

const (
	// maxKnown bounds the connections that are known.
	maxKnown = 100_000
	// sampleEvery is the least time between two samples.
	sampleEvery = 100 * time.Millisecond
	// over is over which time it is looked how much a peer takes, if none has a
	// long way: what comes over one is acknowledged in bursts, with nothing
	// between. ways is how many of the longest way the time is, and sampleFor the
	// most that it is.
	over      = 500 * time.Millisecond
	ways      = 3
	sampleFor = 2 * time.Second
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
	if n := len(p.latest); n > 0 {
		switch age := now.Sub(p.latest[n-1].at); {
		case age < sampleEvery:
			return
		case age > sampleFor: // nothing is known of the time between
			p.latest = nil
		}
	}
	s := p.take(now)
	p.latest = append(p.latest, s)
	for len(p.latest) > 1 && now.Sub(p.latest[1].at) >= s.over() { // the first is not needed
		p.latest = p.latest[1:]
	}
}

// unripe is how long to wait until there is a sample that is old enough.
func (p *peers) unripe(now time.Time) time.Duration {
	p.observe(now)
	return p.latest[len(p.latest)-1].over() - now.Sub(p.latest[0].at)
}

// over is over which time these connections are to be looked at.
func (s sample) over() time.Duration {
	longest := time.Duration(0)
	for _, t := range s.traffic {
		if t.Waiting > 0 {
			longest = max(longest, t.Way)
		}
	}
	return min(max(over, ways*longest), sampleFor)
}

// take takes a sample, and forgets connections that have ended.
func (p *peers) take(now time.Time) sample {
	s := sample{at: now, traffic: make(map[descriptor.Ends]traffic, len(p.known))}
	for fd, e := range p.known {
		now, ok := descriptor.TrafficOf(fd, e)
		if !ok {
			delete(p.known, fd)
			continue
		}
		s.traffic[e] = traffic{fd, now}
	}
	return s
}

// cut ends connections that take least of what waits for them, if others take
// more: one, or as many as may be of those that take nothing at all. It tells
// whether there are such.
func (p *peers) cut(most int) bool {
	now := p.take(time.Now())
	slow := slowest(append(p.since(now.at.Add(-now.over())), now))
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

// since are the samples from the last before a time on; none if there is none so
// old.
func (p *peers) since(at time.Time) []sample {
	n := 0
	for n < len(p.latest) && !p.latest[n].at.After(at) {
		n++
	}
	if n == 0 {
		return nil
	}
	return slices.Clone(p.latest[n-1:])
}

// slowest finds the peers that have taken nothing of what waited for them all the
// time or, if there are none, the one that has taken least. It finds none if all
// are as slow: then none of them is to blame; nor if there is one sample only.
func slowest(samples []sample) (slow []descriptor.Ends) {
	type pace struct {
		descriptor.Ends
		taken int64
	}
	then, now := samples[0], samples[len(samples)-1]
	var held []pace // those for whom something waits
	fast := int64(0)
	for e, t := range now.traffic {
		before, ok := then.traffic[e]
		if !ok {
			continue
		}
		taken := t.Taken - before.Taken
		fast = max(fast, taken)
		if len(samples) > 1 && !slices.ContainsFunc(samples, func(s sample) bool { return s.traffic[e].Waiting == 0 }) {
			held = append(held, pace{e, taken})
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
