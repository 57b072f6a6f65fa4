package access

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Gate lets connections into domains. It may be used by any number of
// goroutines.
type Gate struct {
	book  *Book
	log   *slog.Logger
	shift int // ports between the endpoints of the first server key and of the second
	keys  atomic.Pointer[[]SecretKey]
	stats Stats

	credentials atomic.Pointer[Credentials] // for those whom we connect to

	mu        sync.Mutex
	admitted  map[Domain]map[PublicKey]*presence // since the domain's listeners were opened
	banned    map[string]time.Time               // identities, until when
	listeners []*Listener
	failed    error // of a Guard
	quiet     throttle
}

// NewGate returns a gate that decides by a book. Keys are the server's, one or
// two; the endpoints of the second have ports that are higher by shift.
func NewGate(b *Book, keys []SecretKey, shift int, log *slog.Logger) *Gate {
	g := &Gate{book: b, log: log, shift: shift, admitted: make(map[Domain]map[PublicKey]*presence), banned: make(map[string]time.Time)}
	g.keys.Store(&keys)
	g.credentials.Store(new(Credentials))
	return g
}

// Book is the one that the gate decides by.
func (g *Gate) Book() *Book { return g.book }

// Stats are the gate's counters, live.
func (g *Gate) Stats() *Stats { return &g.stats }

// ServerKeys are those in use.
func (g *Gate) ServerKeys() []SecretKey { return *g.keys.Load() }

// SetServerKeys puts keys in use: listeners follow when they are tended. What
// was bound with a key that is not in use any more is closed, and so are its
// connections.
func (g *Gate) SetServerKeys(keys []SecretKey) {
	if !slices.Equal(keys, g.ServerKeys()) {
		g.keys.Store(&keys)
		g.SetForwarderKeys(g.Credentials().Servers)
	}
}

// Credentials are those that our sockets connect to forwarders with, by the
// first server key. The pointer changes when they do.
func (g *Gate) Credentials() *Credentials { return g.credentials.Load() }

// SetForwarderKeys says by which public keys forwarders are known.
func (g *Gate) SetForwarderKeys(servers []PublicKey) {
	next := &Credentials{Servers: servers, Shift: g.shift}
	if keys := g.ServerKeys(); len(keys) > 0 {
		next.Own = keys[0]
	}
	if !next.Equal(g.Credentials()) {
		g.credentials.Store(next)
	}
}

// admit decides on a connection and remembers it.
func (g *Gate) admit(d Domain, key PublicKey, address string) (*Grant, Verdict) {
	g.mu.Lock() // with Check: nobody comes in by a page of the book that is not in force any more
	defer g.mu.Unlock()
	grant, verdict := g.book.Admit(d, key)
	reason := g.reason(grant, verdict)
	if reason == Banned {
		verdict = Unknown
	}
	if verdict != Welcome {
		g.stats.Refused.Add(1)
		g.stats.refusals[reason].Add(1)
		if suppressed, ok := g.quiet.allow(g.book.now()); ok {
			g.log.Warn("connection refused", "domain", d, "key", key.Short(), "address", address, "identity", identityOf(grant), "reason", reason.String(), "for_good", verdict == Never, "not_logged", suppressed)
		}
		return nil, verdict
	}
	if g.admitted[d] == nil {
		g.admitted[d] = make(map[PublicKey]*presence)
	}
	g.admitted[d][key] = g.admitted[d][key].again(grant, g.book.Rights(grant.Identity))
	g.stats.Welcome.Add(1)
	g.log.Info("connection let in", "domain", d, "identity", grant.Identity, "key", key.Short(), "address", address)
	return grant, Welcome
}

func identityOf(g *Grant) string {
	if g == nil {
		return ""
	}
	return g.Identity
}

func (g *Gate) isBanned(identity string) bool { return g.book.now().Before(g.banned[identity]) }

// reason is why a connection is refused, if it is.
func (g *Gate) reason(grant *Grant, v Verdict) Reason {
	switch {
	case v == Never:
		return Revoked
	case grant == nil:
		return NoGrant
	case v == Unknown && !grant.alive(g.book.now()):
		return Expired
	case v == Unknown:
		return NotHere
	case g.isBanned(grant.Identity):
		return Banned
	}
	return admitted
}

// Ban refuses an identity for a while, and ends its connections.
func (g *Gate) Ban(identity string, d time.Duration) {
	g.mu.Lock()
	g.banned[identity] = g.book.now().Add(d)
	g.mu.Unlock()
	g.Check()
}

// Check ends the connections of those who may not be connected any more, by
// opening the listeners of their domain anew. It is to be called when something
// has changed, and every now and then, since grants expire.
func (g *Gate) Check() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for identity, until := range g.banned {
		if !g.book.now().Before(until) {
			delete(g.banned, identity)
		}
	}
	for d, keys := range g.admitted {
		for key, p := range keys {
			before := p.grant
			now, verdict := g.book.Admit(d, key)
			if verdict != Welcome || g.isBanned(before.Identity) || d == Recovery && g.less(now, p) {
				if p.gone() {
					delete(keys, key)
					continue
				}
				g.log.Warn("a grant has ended; its domain is opened anew, everybody else connects again", "domain", d, "identity", before.Identity, "key", key.Short())
				g.evict(d)
				break
			}
			p.grant, p.rights = now, g.book.Rights(now.Identity) // what was given since can be taken again
		}
	}
}

// less tells whether somebody may ask for less than when he was looked at last.
// His other keys count: what they give, every connection of his may have had.
func (g *Gate) less(now *Grant, p *presence) bool {
	return now.Identity != p.grant.Identity || g.book.Rights(now.Identity).narrower(p.rights)
}

// evict has everybody in a domain connect again.
func (g *Gate) evict(d Domain) {
	delete(g.admitted, d)
	g.stats.Evictions.Add(1)
	for _, l := range g.listeners {
		if l.domain == d {
			l.due.Store(true)
		}
	}
}

// Trouble says why nobody can be let in, if that is so.
func (g *Gate) Trouble() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return []string{"nobody is let in, the ZAP handler has failed: " + g.failed.Error()}
	}
	return nil
}

func (g *Gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = err
	g.log.Error("the ZAP handler has failed; nobody is let in any more", "error", err)
}

// A throttle lets a number of events pass every second, and counts the others.
type throttle struct {
	second     time.Time
	passed     int
	suppressed int
}

// loggedEach is how many refusals are logged each second: whoever is refused
// tries again and again.
const loggedEach = 10

func (t *throttle) allow(now time.Time) (suppressed int, ok bool) {
	if now.Sub(t.second) >= time.Second {
		t.second, t.passed = now, 0
	}
	if t.passed++; t.passed > loggedEach {
		t.suppressed++
		return 0, false
	}
	suppressed, t.suppressed = t.suppressed, 0
	return suppressed, true
}
