package access

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spancast/spancast/internal/descriptor"
)

// A Connection is one subscriber of a socket. libzmq does not tell of its end; a
// descriptor that leads to somebody else, or nowhere, does.
type Connection struct {
	Peer     string // address and port; empty if that was not known in time
	Identity string // empty without CURVE
	Since    time.Time
	Prefixes []string // that it asked for, at most maxPrefixes

	number string // from a Guard
	key    string
	more   map[uint64]struct{} // hashes of what it asked for besides
	shown  bool                // whether Prefixes has any
	weight int64               // of what it asked for
	missed bool                // at the last look
}

const (
	// maxConnections bounds the connections that are kept.
	maxConnections = 100_000
	// maxShown bounds those whose prefixes are kept as text, and that are looked
	// at together, and maxPrefixes the prefixes of each: anybody can ask for any.
	maxShown    = 1000
	maxPrefixes = 16
)

// More is the number of prefixes that it asked for besides.
func (c *Connection) More() int { return len(c.more) }

// connectionOf is the connection over which a subscription came; nil if that is
// not known.
func (i *Interest) connectionOf(s *Subscription, now time.Time) *Connection {
	fd, err := strconv.Atoi(s.Descriptor)
	if err != nil {
		return nil // it ended with its connection
	}
	known, peer := i.connections[fd], descriptor.Peer(fd)
	if !s.from(peer) {
		if peer = ""; s.number == "" {
			return nil // it has ended, and the descriptor is somebody else's by now
		}
	}
	if known != nil && known.key == s.Key && known.number == s.number && (s.number != "" || known.Peer == peer) {
		return known
	}
	if known == nil && len(i.connections) >= maxConnections {
		return nil
	}
	c := &Connection{Peer: peer, Identity: s.Identity, Since: now, number: s.number, key: s.Key, shown: len(i.connections) < maxShown}
	i.connections[fd] = c
	return c
}

// from tells whether a subscription can have come from a peer, of whom the address
// and port are known.
func (s *Subscription) from(peer string) bool {
	at, err := netip.ParseAddrPort(peer)
	if err != nil || s.Address == "" {
		return err == nil
	}
	address, err := netip.ParseAddr(s.Address)
	return err == nil && address.Unmap().WithZone("") == at.Addr()
}

// note notes a subscription, whose prefix has a hash. It is news if it changes
// what the connection asks for.
func (c *Connection) note(s *Subscription, hash uint64) (news bool) {
	at := slices.Index(c.Prefixes, s.Prefix)
	_, more := c.more[hash]
	switch {
	case s.On == (at >= 0 || more):
		return false
	case at >= 0:
		c.Prefixes = slices.Delete(c.Prefixes, at, at+1)
	case more:
		delete(c.more, hash)
	case c.shown && len(c.Prefixes) < maxPrefixes:
		c.Prefixes = append(c.Prefixes, s.Prefix)
	case c.more == nil:
		c.more = map[uint64]struct{}{hash: {}}
	default:
		c.more[hash] = struct{}{}
	}
	return true
}

// ended tells whether a connection has certainly ended, which had a descriptor.
func (c *Connection) ended(fd int) bool { return c.Peer != "" && descriptor.Peer(fd) != c.Peer }

// Connected is the number of connections, as far as it is known.
func (i *Interest) Connected() (n int) {
	for _, c := range i.connections {
		if !c.missed {
			n++
		}
	}
	return n
}

// Connections are those that are still there, by descriptor; when they are many,
// some of them. Those that were not there the last time either are forgotten:
// what came over them was read meanwhile.
func (i *Interest) Connections() iter.Seq2[int, *Connection] {
	return func(yield func(int, *Connection) bool) {
		looked := 0
		for fd, c := range i.connections {
			if looked++; looked > maxShown {
				return
			}
			switch {
			case c.Peer == "":
			case !c.ended(fd):
				if !yield(fd, c) {
					return
				}
			case c.missed:
				delete(i.connections, fd)
			default:
				c.missed = true
			}
		}
	}
}
