package tail

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/spancast/spancast/message"
)

// A Verifier watches the messages of a subscription and tells what is missing,
// what came twice and what came out of order, with nothing but the messages: by
// the counters of each subscribed level, in each epoch, and by the versions of
// each key.
type Verifier struct {
	levels  []level
	last    map[place]uint64 // counter that was seen last
	keys    map[uint64]message.Version
	seen    map[uint64]bool // versions, hashed
	order   []uint64        // of seen, oldest first
	epochs  map[string]bool
	seed    maphash.Seed
	summary Summary
}

type level struct {
	prefix string
	depth  int
}

// place is a level in an epoch.
type place struct {
	epoch string
	level int
}

// Summary counts what a Verifier has seen.
type Summary struct {
	Changes    int
	Duplicates int // the same version once more: allowed, after a restart
	Gaps       int // runs of changes that were lost
	Lost       uint64
	OutOfOrder int // an older version of a key after a newer one, for the first time
	Malformed  int
	Epochs     int
}

// A Finding is something that is not as it should be.
type Finding struct{ Text string }

// remembered bounds the versions and keys that are remembered.
const remembered = 1_000_000

// NewVerifier verifies subscriptions to prefixes.
func NewVerifier(prefixes []string) *Verifier {
	v := &Verifier{last: make(map[place]uint64), keys: make(map[uint64]message.Version), seen: make(map[uint64]bool),
		epochs: make(map[string]bool), seed: maphash.MakeSeed()}
	for _, p := range prefixes {
		if depth, ok := message.Level(p); ok {
			v.levels = append(v.levels, level{p, depth})
		}
	}
	return v
}

// Summary is what was seen so far.
func (v *Verifier) Summary() Summary {
	s := v.summary
	s.Epochs = len(v.epochs)
	return s
}

// Malformed counts a message that could not be read.
func (v *Verifier) Malformed() { v.summary.Malformed++ }

// See looks at a message.
func (v *Verifier) See(m *Message) []Finding {
	v.epochs[m.Epoch] = true
	if m.Kind != "" {
		return v.control(m)
	}
	v.summary.Changes++
	var findings []Finding
	for i, l := range v.levels {
		if !strings.HasPrefix(m.Topic, l.prefix) {
			continue
		}
		n, ok := m.Header.Counter(l.depth)
		if !ok {
			continue // a level of row data has no counter
		}
		at := place{m.Epoch, i}
		if last, known := v.last[at]; known && n != last+1 {
			findings = append(findings, v.gap(l, last, n-1))
		}
		v.last[at] = n
	}
	return append(findings, v.version(m)...)
}

// control compares what a resolved message says of its level with what has come:
// it tells of losses at the end, and where to count from at the beginning.
func (v *Verifier) control(m *Message) []Finding {
	if m.Kind != message.Resolved {
		return nil
	}
	var findings []Finding
	for i, l := range v.levels {
		n, ok := m.Header.Counter(l.depth)
		if !ok || m.Level != l.prefix {
			continue
		}
		at := place{m.Epoch, i}
		if last, known := v.last[at]; known && n > last {
			findings = append(findings, v.gap(l, last, n))
		}
		v.last[at] = n
	}
	return findings
}

// gap counts that the changes after one counter, up to another, are lost.
func (v *Verifier) gap(l level, last, upTo uint64) Finding {
	v.summary.Gaps++
	lost := uint64(1)
	if upTo > last {
		lost = upTo - last
	}
	v.summary.Lost += lost
	return Finding{fmt.Sprintf("lost %d changes under %q", lost, l.prefix)}
}

// version looks whether the change came before, or too late.
func (v *Verifier) version(m *Message) []Finding {
	id := maphash.Bytes(v.seed, m.Header.Version)
	if v.seen[id] {
		v.summary.Duplicates++
		return nil
	}
	v.remember(id)
	key, ok := v.key(m)
	if !ok {
		return nil
	}
	last, known := v.keys[key]
	if known && m.Version.Compare(last) < 0 {
		v.summary.OutOfOrder++
		return []Finding{{fmt.Sprintf("out of order: a change of this key came after the newer %s", last)}}
	}
	if len(v.keys) >= remembered {
		clear(v.keys)
	}
	v.keys[key] = m.Version
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
func (v *Verifier) key(m *Message) (uint64, bool) {
	var body struct {
		Keys json.RawMessage
		Data struct{ Keys json.RawMessage }
	}
	a, err := message.ParseAttributes(m.Header.Attributes)
	if err != nil || json.Unmarshal(m.Body, &body) != nil {
		return 0, false
	}
	keys := body.Keys
	if keys == nil {
		keys = body.Data.Keys
	}
	return maphash.String(v.seed, a.Table+"\x00"+string(keys)), keys != nil
}
