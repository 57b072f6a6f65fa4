package tail

import (
	"cmp"
	"encoding/json"
	"hash/maphash"
	"time"

	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
)

// A Verifier watches the changes that the subscriber hands on, and tells what it
// should not have: a change twice, or an older one of a key after a newer one.
// It remembers the latest changes and keys, in about 15 MB.
type Verifier struct {
	keys    recent[place]
	seen    recent[struct{}] // versions
	seed    maphash.Seed
	summary Summary
}

// Summary counts what a Verifier has found.
type Summary struct {
	Twice      uint64
	OutOfOrder uint64
}

// remembered bounds the versions and the keys that are remembered.
const remembered = 1 << 17

// NewVerifier begins to verify.
func NewVerifier() *Verifier { return &Verifier{seed: maphash.MakeSeed()} }

// Summary is what was found so far.
func (v *Verifier) Summary() Summary { return v.summary }

// See looks at a change and says what is wrong with it.
func (v *Verifier) See(c *subscriber.Change) (findings []string) {
	if c.Origin == subscriber.Snapshot {
		return nil // a row, not a change
	}
	id := maphash.Bytes(v.seed, c.Header.Version)
	if _, twice := v.seen.get(id); twice {
		v.summary.Twice++
		return []string{"a change came twice"}
	}
	v.seen.put(id, struct{}{})
	key, ok := v.key(c)
	version, err := c.Version()
	if !ok || err != nil {
		return nil
	}
	at, err := version.Time()
	if err != nil {
		return nil
	}
	now := place{at.UnixNano(), version.RecordSequence, int32(version.Mod)}
	if last, known := v.keys.get(key); known && now.before(last) {
		v.summary.OutOfOrder++
		return []string{"out of order: a change of this key came after a newer one, of " + message.FormatTime(time.Unix(0, last.at))}
	}
	v.keys.put(key, now)
	return nil
}

// A place is the order of a version among those of its key, in few bytes. What
// message.Version.Compare looks at besides is the same for one key and time.
type place struct {
	at       int64  // commit timestamp
	sequence string // of the record
	mod      int32
}

func (p place) before(o place) bool {
	return cmp.Or(cmp.Compare(p.at, o.at), cmp.Compare(len(p.sequence), len(o.sequence)), cmp.Compare(p.sequence, o.sequence), cmp.Compare(p.mod, o.mod)) < 0
}

// recent is a map of the latest that were put into it, at least half of
// remembered.
type recent[V any] struct{ young, old map[uint64]V }

func (r *recent[V]) get(key uint64) (V, bool) {
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	return v, ok
}

func (r *recent[V]) put(key uint64, v V) {
	if len(r.young) >= remembered/2 {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	if r.young == nil {
		r.young = make(map[uint64]V)
	}
	r.young[key] = v
}

// key names the row of a change: table and keys, from a native body or the data
// of a CloudEvent. Debezium's does not say which values are the keys.
func (v *Verifier) key(c *subscriber.Change) (uint64, bool) {
	var body struct {
		Keys json.RawMessage
		Data struct{ Keys json.RawMessage }
	}
	a, err := c.Attributes()
	if err != nil || json.Unmarshal(c.Body, &body) != nil {
		return 0, false
	}
	keys := body.Keys
	if keys == nil {
		keys = body.Data.Keys
	}
	return maphash.String(v.seed, a.Table+"\x00"+string(keys)), keys != nil
}
