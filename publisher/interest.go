package publisher

// An interest is what the subscriptions of an audience ask for, and what that
// takes of the memory. libzmq bounds neither.
type interest struct {
	prefixes map[string]int   // subscriptions to each
	weight   int64            // an estimate of the bytes that they take
	by       map[string]int64 // the same of each identity; when it disconnects libzmq does not tell whose subscriptions end, so this only grows
	reported bool             // that it is too much
}

// DefaultInterest is the bound of an audience, in bytes. It is enough for some
// 40,000 different prefixes of 50 bytes.
const DefaultInterest = 64 << 20

// weights of a subscription, in bytes: a prefix takes a node of libzmq's trie for
// each byte that it shares with no other, and our own entry; another subscriber
// to it takes an entry.
const (
	weightOfByte  = 32
	weightOfEntry = 128
)

func newInterest() *interest {
	return &interest{prefixes: make(map[string]int), by: make(map[string]int64)}
}

// on adds a subscription.
func (i *interest) on(prefix, identity string) {
	w := int64(weightOfEntry)
	if i.prefixes[prefix] == 0 {
		w += int64(len(prefix)) * weightOfByte
	}
	i.prefixes[prefix]++
	i.weight += w
	i.by[identity] += w
}

// off takes a subscription back. Identity is empty when its owner has gone.
func (i *interest) off(prefix, identity string) {
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

// greediest is the identity that has asked for most.
func (i *interest) greediest() (identity string) {
	most := int64(-1)
	for name, w := range i.by {
		if w > most {
			identity, most = name, w
		}
	}
	return identity
}

// forgetOwners begins to count anew by whom: everybody is about to connect again.
func (i *interest) forgetOwners() { clear(i.by) }
