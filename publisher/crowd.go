package publisher

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spancast/spancast/internal/descriptor"
)

// A crowd is who is connected to the socket of an audience and has asked for
// something, by the descriptors of the connections. libzmq does not tell of their
// ends; a descriptor that leads to somebody else, or nowhere, does.
type crowd map[int]*connection

// A connection is one subscriber, as far as it is known.
type connection struct {
	peer     string // address and port
	identity string // empty without CURVE
	key      string // the same
	since    time.Time
	prefixes []string // at most maxPrefixes
	more     int      // that it asked for besides
}

const (
	// maxCrowd bounds the connections that are kept, and maxPrefixes the prefixes
	// of each: anybody can ask for any.
	maxCrowd    = 1000
	maxPrefixes = 16
)

// note notes a subscription that began, or that was taken back over a connection
// that goes on. It is news unless it says again what is known: libzmq passes on
// what is asked for twice over one connection, or taken back without having been
// asked for, and tells of its end once for each prefix. As far as prefixes are
// kept, nobody's count is then more than what he asks for, nor less than others do.
func (c crowd) note(s subscription, now time.Time) (news bool) {
	fd, err := strconv.Atoi(s.fd)
	if err != nil {
		return true // it ended with its connection
	}
	known, peer := c[fd], descriptor.Peer(fd)
	if !s.from(peer) {
		return true // it has ended, and the descriptor is somebody else's by now
	}
	if known == nil || known.peer != peer || known.key != s.key {
		if known == nil && len(c) >= maxCrowd {
			return true
		}
		known = &connection{peer: peer, identity: s.identity, key: s.key, since: now}
		c[fd] = known
	}
	i := slices.Index(known.prefixes, s.prefix)
	switch {
	case s.on && i >= 0:
		return false
	case s.on && len(known.prefixes) < maxPrefixes:
		known.prefixes = append(known.prefixes, s.prefix)
	case s.on:
		known.more++
	case i >= 0:
		known.prefixes = slices.Delete(known.prefixes, i, i+1)
	case known.more > 0:
		known.more--
	default:
		return false
	}
	return true
}

// from tells whether a subscription can have come from a peer, of whom the address
// and port are known.
func (s *subscription) from(peer string) bool {
	at, err := netip.ParseAddrPort(peer)
	if err != nil || s.address == "" {
		return err == nil
	}
	address, err := netip.ParseAddr(s.address)
	return err == nil && address.Unmap().WithZone("") == at.Addr()
}

// A Subscriber is a connection over which somebody subscribed.
type Subscriber struct {
	Audience string // empty if there is only one
	Identity string // empty without CURVE
	Peer     string // address and port
	Since    time.Time
	Prefixes []string
	More     int // prefixes besides
	// Unsent is how many bytes the system holds that the subscriber's machine
	// has not taken; much of it for long means that it is too slow.
	Unsent int
}

// look returns who is still there, those for whom most is waiting first.
func (c crowd) look(audience string) (out []Subscriber) {
	for fd, known := range c {
		if descriptor.Peer(fd) != known.peer {
			delete(c, fd)
			continue
		}
		out = append(out, Subscriber{Audience: audience, Identity: known.identity, Peer: known.peer, Since: known.since,
			Prefixes: slices.Clone(known.prefixes), More: known.more, Unsent: descriptor.Unsent(fd)})
	}
	slices.SortFunc(out, func(a, b Subscriber) int {
		return cmp.Or(cmp.Compare(b.Unsent, a.Unsent), cmp.Compare(a.Identity, b.Identity), a.Since.Compare(b.Since), cmp.Compare(a.Peer, b.Peer))
	})
	return out[:min(len(out), maxSurvey)]
}
