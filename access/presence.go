package access

import (
	"strconv"

	"github.com/spancast/spancast/internal/descriptor"
)

// A presence is what is known of the connections of a key that was let in.
// libzmq tells when one begins, and not when it ends; a message that comes over
// it tells which one it is.
type presence struct {
	grant    *Grant         // as it was when it was looked at last
	rights   Rights         // of its identity, then
	welcomed int            // times that it was let in
	peers    map[string]int // connections that messages came over: address and port of the peer, and our descriptor
}

// maxPeers bounds the connections that are kept of a key.
const maxPeers = 1000

// again notes that a key was let in. P is nil the first time.
func (p *presence) again(g *Grant, r Rights) *presence {
	if p == nil {
		p = &presence{grant: g, rights: r, peers: make(map[string]int)}
	}
	p.welcomed++
	return p
}

// gone tells whether all connections of the key have certainly ended. When in
// doubt they have not: then somebody connects again who need not.
func (p *presence) gone() bool {
	if p.welcomed > len(p.peers) {
		return false
	}
	for address, fd := range p.peers {
		if descriptor.Peer(fd) == address {
			return false
		}
	}
	return true
}

// Properties of messages from a Guard's clients, to be asked for with
// RecvBytesWithMetadata.
const (
	PropertyIdentity   = "User-Id"
	PropertyKey        = "Spancast-Key"        // the client's public key
	PropertyDescriptor = "__fd"                // libzmq's own: the descriptor of the connection
	propertyConnection = "Spancast-Connection" // a number, of which no other connection to the Guard's sockets has the same
)

// A Link is a connection: our descriptor, and the peer's address and port. The
// zero Link is one of which nothing is known.
type Link struct {
	fd   int
	peer string
}

// LinkOf is the connection over which a message came, by its properties.
func LinkOf(properties map[string]string) Link {
	fd, err := strconv.Atoi(properties[PropertyDescriptor])
	if err != nil {
		return Link{}
	}
	if peer := descriptor.Peer(fd); peer != "" {
		return Link{fd, peer}
	}
	return Link{}
}

// Ended tells whether the connection has certainly ended.
func (l Link) Ended() bool { return l.peer != "" && descriptor.Peer(l.fd) != l.peer }

// SeenWith notes over which connection a message of a key came, by its properties,
// so that it is known when that has ended. Without it a grant that ends has
// everybody connect again, even if its owner has left long before.
func (g *Gate) SeenWith(d Domain, properties map[string]string) {
	g.seen(d, properties[PropertyKey], properties[PropertyDescriptor])
}

// SeenBy does the same by a subscription. Without a gate there is nothing to note.
func (g *Gate) SeenBy(d Domain, s *Subscription) {
	if g != nil && s.Key != "" {
		g.seen(d, s.Key, s.Descriptor)
	}
}

func (g *Gate) seen(d Domain, key, number string) {
	k, err := ParsePublicKey(key)
	if err != nil {
		return
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	address := descriptor.Peer(fd)
	if address == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.admitted[d][k]; p != nil && len(p.peers) < maxPeers {
		p.peers[address] = fd
	}
}
