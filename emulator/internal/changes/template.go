package changes

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// Template is an encoded record in which commit timestamp, transaction id and
// key are overwritten for each record made of it: they have fixed widths.
type Template struct {
	data         []byte
	stamp, id    int
	keys         []int // places of the mods' keys, as many for each mod
	mods         int
	table        *schema.Table
	distinct     int64 // keys, after which they come again; 0: never
	next         int64 // key
	transactions int64
}

// Size is the length of a record, in bytes.
func (t *Template) Size() int { return len(t.data) }

// KeyMark is the key that the row of a template has, as INT64 or as STRING of
// its digits. Made keys have as many digits.
const KeyMark int64 = 4111222333444555666

const (
	idMark    = "77777777777777777777"
	stampForm = "2006-01-02T15:04:05.000000Z"
	firstKey  = 1_000_000_000_000_000_000
)

// Template encodes an insert of the row, in whose key KeyMark must stand, mods
// times over in a record. The keys come again after distinct ones; 0: never.
// Streams in mutable mode have no templates: their records are not plain text.
func (s *Stream) Template(sch *schema.Schema, table *schema.Table, row []any, mods, distinct int) (*Template, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.format == formatProto {
		return nil, fmt.Errorf("change stream %s: a synthetic load needs partition mode IMMUTABLE_KEY_RANGE", s.def.Name)
	}
	if s.schema != sch {
		s.adopt(sch)
	}
	plan := s.plan(table)
	if plan == nil {
		return nil, fmt.Errorf("change stream %s does not watch table %s", s.def.Name, table.Name)
	}
	c := &Change{Table: table, Type: Insert, New: row}
	mark := Time(1234567890123456)
	r := &record{partition: s.open[0], plan: plan, shape: plan.shape(c), mods: slices.Repeat([]*Change{c}, mods), last: true}
	txn := &Txn{At: store.Timestamp(mark.UnixMicro()), ID: idMark}
	t := &Template{table: table, mods: mods, distinct: int64(distinct), data: s.encodeRecord(nil, txn, r, 0, 1, 1)}
	t.stamp = bytes.Index(t.data, []byte(mark.Format(stampForm)))
	t.id = bytes.Index(t.data, []byte(idMark))
	digits := []byte(strconv.FormatInt(KeyMark, 10))
	for from := 0; ; {
		i := bytes.Index(t.data[from:], digits)
		if i < 0 {
			break
		}
		t.keys = append(t.keys, from+i)
		from += i + len(digits)
	}
	if t.stamp < 0 || t.id < 0 || len(t.keys) == 0 {
		return nil, fmt.Errorf("table %s: a synthetic load needs a key of type INT64 or STRING", table.Name)
	}
	return t, nil
}

// AppendLoad appends records made of a template at one timestamp, each a
// transaction of its own with the next keys. They go to the partitions by the
// first of them.
func (s *Stream) AppendLoad(t *Template, n int, at store.Timestamp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped {
		return
	}
	s.text = appendMicros(s.text[:0], Time(at)) // as long as the mark's
	for range n {
		t.transactions++
		copy(t.data[t.stamp:], s.text)
		putDigits(t.data[t.id:t.id+len(idMark)], t.transactions)
		p := s.open[int(t.next)/t.mods%len(s.open)]
		t.putKeys()
		p.written++
		s.store(p, at, t.data)
	}
	for _, p := range s.open {
		p.wake()
	}
	s.trim(at)
}

// putKeys writes the next keys into the record.
func (t *Template) putKeys() {
	each := len(t.keys) / t.mods
	for i, key := range t.keys {
		putDigits(t.data[key:key+19], firstKey+t.next+int64(i/each))
	}
	if t.next += int64(t.mods); t.distinct > 0 && t.next >= t.distinct {
		t.next = 0
	}
}

// putDigits fills dst with a number, zeros before it.
func putDigits(dst []byte, n int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}
