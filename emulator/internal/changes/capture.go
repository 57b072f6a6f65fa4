package changes

import (
	"fmt"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// ModType is what happened to a row.
type ModType uint8

// The three mod types.
const (
	Insert ModType = iota
	Update
	Delete
)

func (m ModType) String() string { return [...]string{"INSERT", "UPDATE", "DELETE"}[m] }

// Change is one row change of a transaction.
type Change struct {
	Table    *schema.Table
	Key      string // PartitionKey of the row
	Type     ModType
	Old, New []any // by slot; nil where there is none
	Written  Slots // what an UPDATE assigned
}

// Txn is a committed transaction.
type Txn struct {
	At      store.Timestamp
	ID      string
	Tag     string
	System  bool // made by Spanner itself: column backfill
	Exclude bool // asked to be left out of streams that allow it
	Changes []Change
}

// PartitionKey is where a row lies in the key space that partitions divide:
// interleaved rows lie behind their parents.
func PartitionKey(t *schema.Table, primaryKey string) string {
	root := t.Root
	return string([]byte{byte(root >> 24), byte(root >> 16), byte(root >> 8), byte(root)}) + primaryKey
}

// record is a data change record before it is encoded.
type record struct {
	partition *Partition
	plan      *plan
	shape     *shape
	mods      []*Change
	last      bool
}

// Append records a transaction. The schema is the one it was committed under.
func (s *Stream) Append(sch *schema.Schema, txn *Txn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped || txn.Exclude && s.def.Is("allow_txn_exclusion") {
		return
	}
	if s.schema != sch {
		s.adopt(sch)
	}
	if s.suspended {
		return
	}
	s.records = s.group(txn, s.records[:0])
	if len(s.records) == 0 {
		return
	}
	partitions := s.markLast(s.records)
	for i := range s.records {
		r := &s.records[i]
		s.scratch = s.encodeRecord(s.scratch[:0], txn, r, i, len(s.records), partitions)
		s.store(r.partition, txn.At, s.scratch)
		r.mods = r.mods[:0]
	}
	for i := range s.records {
		s.records[i].partition.wake()
	}
	s.trim(txn.At)
}

// store appends an encoded record to a partition's log.
func (s *Stream) store(p *Partition, at store.Timestamp, data []byte) {
	before := p.log.bytes
	p.log.append(at, data)
	s.bytes += p.log.bytes - before
}

// group puts changes into records: a change joins its partition's current
// record when table, mod type and columns are the same.
func (s *Stream) group(txn *Txn, records []record) []record {
	for i := range txn.Changes {
		c := &txn.Changes[i]
		if s.excluded[c.Type] {
			continue
		}
		plan := s.plan(c.Table)
		if plan == nil {
			continue
		}
		shape := plan.shape(c)
		if shape == nil {
			continue
		}
		p := s.locate(c.Key)
		p.sample(c.Key)
		if p.txn == txn.At && p.current < len(records) {
			if r := &records[p.current]; r.partition == p && r.shape == shape {
				r.mods = append(r.mods, c)
				continue
			}
		}
		p.txn, p.current = txn.At, len(records)
		records = appendRecord(records, record{partition: p, plan: plan, shape: shape}, c)
	}
	return records
}

// appendRecord reuses the memory of mods of records that were there before.
func appendRecord(records []record, r record, c *Change) []record {
	if len(records) < cap(records) {
		r.mods = records[:len(records)+1][len(records)].mods[:0]
	}
	r.mods = append(r.mods, c)
	return append(records, r)
}

// markLast marks the last record of each partition and counts the partitions.
func (s *Stream) markLast(records []record) int {
	n := 0
	for i := len(records) - 1; i >= 0; i-- {
		p := records[i].partition
		records[i].last = !p.marked
		if !p.marked {
			p.marked = true
			n++
		}
	}
	for i := range records {
		records[i].partition.marked = false
	}
	return n
}

func sequence(n int) string { return fmt.Sprintf("%08d", n) }
