package access

import (
	"hash/maphash"
	"log/slog"
	"time"
)

// An Interest is what the subscriptions to one socket ask for, whose they are, and
// what that takes of the memory. libzmq bounds none of it. It is for one goroutine.
type Interest struct {
	limit       int64
	prefixes    map[string]int      // subscriptions to each
	weight      int64               // an estimate of the bytes that they take
	connections map[int]*Connection // by descriptor; those that have ended stay until they are looked at, or the next one has it
	seed        maphash.Seed
	reported    bool // that it is too much
}

// DefaultInterest is the bound of a socket, in bytes. It is enough for some
// 40,000 different prefixes of 50 bytes.
const DefaultInterest = 64 << 20

// banTime is how long an identity is refused that has subscribed to too much.
const banTime = 5 * time.Minute

// weights of a subscription, in bytes: a prefix takes a node of libzmq's trie for
// each byte that it shares with no other, and our own entry; another subscriber
// to it takes an entry.
const (
	weightOfByte  = 32
	weightOfEntry = 128
)

// NewInterest returns an empty one with a bound in bytes; 0: DefaultInterest.
func NewInterest(limit int64) *Interest {
	if limit == 0 {
		limit = DefaultInterest
	}
	return &Interest{limit: limit, prefixes: make(map[string]int), connections: make(map[int]*Connection), seed: maphash.MakeSeed()}
}

// Note notes a subscription that began or ended. It is news unless it says again
// what is known: libzmq passes on what is asked for twice over one connection, or
// taken back without having been asked for, and tells of its end once for each
// prefix. So nobody's count is more than what he asks for, nor less than others do.
func (i *Interest) Note(s *Subscription, now time.Time) (news bool) {
	c := i.connectionOf(s, now)
	if c != nil && !c.note(s, maphash.String(i.seed, s.Prefix)) {
		return false
	}
	n := i.prefixes[s.Prefix]
	if n == 0 && !s.On {
		return false
	}
	w := int64(weightOfEntry)
	if n == 0 || n == 1 && !s.On {
		w += int64(len(s.Prefix)) * weightOfByte
	}
	if !s.On {
		w = -w
	}
	i.weight += w
	if c != nil {
		c.weight += w
	}
	switch {
	case s.On:
		i.prefixes[s.Prefix] = n + 1
	case n == 1:
		delete(i.prefixes, s.Prefix)
	default:
		i.prefixes[s.Prefix] = n - 1
	}
	return true
}

// Of is the number of subscriptions to a prefix.
func (i *Interest) Of(prefix string) int { return i.prefixes[prefix] }

// Settled notes that everything was read that subscribers have asked for: what
// is too much from here on is so anew.
func (i *Interest) Settled() { i.reported = false }

// greediest is the identity that has asked for most, of those who are there.
func (i *Interest) greediest() (identity string) {
	by := make(map[string]int64)
	for fd, c := range i.connections {
		if !c.ended(fd) {
			by[c.Identity] += c.weight
		}
	}
	most := int64(-1)
	for name, w := range by {
		if w > most {
			identity, most = name, w
		}
	}
	return identity
}

// Curb ends the session of whoever has subscribed to more than there is memory
// for: he is refused for a while, and everybody else connects again.
func (l *Listener) Curb(i *Interest, log *slog.Logger) {
	if i.weight <= i.limit || i.reported {
		return
	}
	i.reported = true
	who := i.greediest()
	log.Error("too many subscriptions; whoever has most of them has to go, and is refused for a while", "domain", l.domain,
		"identity", who, "prefixes", len(i.prefixes), "bytes", i.weight, "for", banTime)
	for _, c := range i.connections {
		c.weight = 0 // everybody is about to connect again
	}
	if l.gate != nil && who != "" {
		l.gate.Ban(who, banTime)
	}
	l.Evict()
}
