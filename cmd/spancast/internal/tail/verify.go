package tail

import (
	"encoding/json"
	"fmt"
	"hash/maphash"

	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
)

// A Verifier watches the changes that the subscriber hands on, and tells what it
// should not have: a change twice, or an older one of a key after a newer one.
type Verifier struct {
	keys    map[uint64]message.Version
	seen    map[uint64]bool // versions, hashed
	order   []uint64        // of seen, oldest first
	seed    maphash.Seed
	summary Summary
}

// Summary counts what a Verifier has found.
type Summary struct {
	Twice      uint64
	OutOfOrder uint64
}

// remembered bounds the versions and keys that are remembered.
const remembered = 1_000_000

// NewVerifier begins to verify.
func NewVerifier() *Verifier {
	return &Verifier{keys: make(map[uint64]message.Version), seen: make(map[uint64]bool), seed: maphash.MakeSeed()}
}

// Summary is what was found so far.
func (v *Verifier) Summary() Summary { return v.summary }

// See looks at a change and says what is wrong with it.
func (v *Verifier) See(c *subscriber.Change) (findings []string) {
	if c.Origin == subscriber.Snapshot {
		return nil // a row, not a change
	}
	id := maphash.Bytes(v.seed, c.Header.Version)
	if v.seen[id] {
		v.summary.Twice++
		return []string{"a change came twice"}
	}
	v.remember(id)
	key, ok := v.key(c)
	version, err := c.Version()
	if !ok || err != nil {
		return nil
	}
	if last, known := v.keys[key]; known && version.Compare(last) < 0 {
		v.summary.OutOfOrder++
		return []string{fmt.Sprintf("out of order: a change of this key came after the newer %s", last)}
	}
	if len(v.keys) >= remembered {
		clear(v.keys)
	}
	v.keys[key] = version
	return nil
}

func (v *Verifier) remember(id uint64) {
	v.seen[id] = true
	v.order = append(v.order, id)
	if len(v.order) > remembered {
		delete(v.seen, v.order[0])
		v.order = v.order[1:]
	}
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
