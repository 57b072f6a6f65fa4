package access

import (
	"log/slog"
	"time"
)

// An Interest is what the subscriptions to one socket ask for, and what that
// takes of the memory. libzmq bounds neither. It is for one goroutine.
type Interest struct {
	limit    int64
	prefixes map[string]int   // subscriptions to each
	weight   int64            // an estimate of the bytes that they take
	by       map[string]int64 // the same of each identity; when it disconnects libzmq does not tell whose subscriptions end, so this only grows
	reported bool             // that it is too much
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
	return &Interest{limit: limit, prefixes: make(map[string]int), by: make(map[string]int64)}
}

// On adds a subscription.
func (i *Interest) On(prefix, identity string) {
	w := int64(weightOfEntry)
	if i.prefixes[prefix] == 0 {
		w += int64(len(prefix)) * weightOfByte
	}
	i.prefixes[prefix]++
	i.weight += w
	i.by[identity] += w
}

// Off takes a subscription back. Identity is empty when its owner has gone.
func (i *Interest) Off(prefix, identity string) {
	n := i.prefixes[prefix]
	if n == 0 {
		return
	}
	w := int64(weightOfEntry)
	if n == 1 {
		w += int64(len(prefix)) * weightOfByte
		delete(i.prefixes, prefix)
	} else {
		i.prefixes[prefix] = n - 1
	}
	i.weight -= w
	if identity != "" {
		i.by[identity] -= w
	}
}

// Of is the number of subscriptions to a prefix.
func (i *Interest) Of(prefix string) int { return i.prefixes[prefix] }

// Settled notes that everything was read that subscribers have asked for: what
// is too much from here on is so anew.
func (i *Interest) Settled() { i.reported = false }

// greediest is the identity that has asked for most.
func (i *Interest) greediest() (identity string) {
	most := int64(-1)
	for name, w := range i.by {
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
	clear(i.by) // everybody is about to connect again
	if l.gate != nil && who != "" {
		l.gate.Ban(who, banTime)
	}
	l.Evict()
}
