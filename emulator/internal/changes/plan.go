package changes

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// Slots is a set of column slots.
type Slots []uint64

// NewSlots is an empty set for a table.
func NewSlots(t *schema.Table) Slots { return make(Slots, (t.Slots+63)/64) }

// Add puts a slot into the set.
func (s Slots) Add(slot int) { s[slot/64] |= 1 << (slot % 64) }

// Has reports whether a slot is in the set.
func (s Slots) Has(slot int) bool { return slot/64 < len(s) && s[slot/64]&(1<<(slot%64)) != 0 }

// plan is what a stream records of one table, prepared once for a schema.
type plan struct {
	table   *schema.Table
	stream  *Stream
	watched []*schema.Column
	name    []byte // the table's name as an element of a list
	mask    Slots  // of watched columns
	shapes  [3]map[string]*shape
	// narrow is shapes of updates again, by the only word of the column set.
	narrow map[uint64]*shape
}

// member is a column as a member of a JSON object.
type member struct {
	slot  int
	label []byte // "Name":
	index int32  // in column_types
}

// shape is what all mods of a record have in common.
type shape struct {
	modType  ModType
	columns  []*schema.Column // of column_types, keys included, in table order
	types    []byte           // column_types, encoded
	keys     []member         // these three sorted by name
	new, old []member
}

func newPlan(s *Stream, sch *schema.Schema, t *schema.Table) *plan {
	watch := sch.Watched(s.def, t)
	if watch == nil {
		return nil
	}
	p := &plan{table: t, stream: s, watched: watch.Columns, name: appendString(nil, t.Name), mask: NewSlots(t), narrow: map[uint64]*shape{}}
	for _, c := range watch.Columns {
		p.mask.Add(c.Slot)
	}
	for i := range p.shapes {
		p.shapes[i] = map[string]*shape{}
	}
	return p
}

func (p *plan) keyColumns() []*schema.Column {
	var out []*schema.Column
	for _, c := range p.table.Columns {
		if c.IsKey {
			out = append(out, c)
		}
	}
	return out
}

// members are the given columns sorted by name, with their index in all.
func (p *plan) members(columns, all []*schema.Column) []member {
	sorted := slices.SortedFunc(slices.Values(columns), func(a, b *schema.Column) int { return cmp.Compare(a.Name, b.Name) })
	out := make([]member, len(sorted))
	for i, c := range sorted {
		out[i] = member{slot: c.Slot, label: append(value.AppendJSONString(nil, c.Name), ':'), index: int32(slices.Index(all, c))}
	}
	return out
}

// shape finds what to record of a change; nil means nothing.
func (p *plan) shape(c *Change) *shape {
	if c.Type != Update {
		return p.cached(c.Type, "", nil)
	}
	if len(p.mask) == 1 && len(c.Written) == 1 {
		bits := p.mask[0] & c.Written[0]
		if bits == 0 {
			return nil
		}
		s, ok := p.narrow[bits]
		if !ok {
			s = p.newShape(Update, Slots{bits})
			p.narrow[bits] = s
		}
		return s
	}
	modified, any, key := NewSlots(p.table), false, make([]byte, 0, 32)
	for i := range modified {
		if i < len(c.Written) {
			modified[i] = p.mask[i] & c.Written[i]
		}
		any = any || modified[i] != 0
		key = strconv.AppendUint(append(key, ','), modified[i], 16)
	}
	if !any {
		return nil
	}
	return p.cached(Update, string(key), modified)
}

func (p *plan) cached(t ModType, key string, modified Slots) *shape {
	s, ok := p.shapes[t][key]
	if !ok {
		s = p.newShape(t, modified)
		p.shapes[t][key] = s
	}
	return s
}

// newShape is the table of section 7 of the protocol notes: which columns a
// record names and which values it carries, by mod type and capture type.
func (p *plan) newShape(t ModType, modified Slots) *shape {
	var changed []*schema.Column
	for _, c := range p.watched {
		if modified.Has(c.Slot) {
			changed = append(changed, c)
		}
	}
	named, newSide, oldSide := p.watched, p.watched, p.watched
	capture := p.stream.capture
	wholeRow := capture == schema.NewRow || capture == schema.NewRowAndOldValues
	keepsOld := capture == schema.OldAndNewValues || capture == schema.NewRowAndOldValues
	switch t {
	case Insert:
		oldSide = nil
	case Delete:
		newSide = nil
	case Update:
		oldSide = changed
		if !wholeRow {
			named, newSide = changed, changed
		}
	}
	if !keepsOld {
		oldSide = nil
	}
	s := &shape{modType: t}
	for _, c := range p.table.Columns {
		if c.IsKey || slices.Contains(named, c) {
			s.columns = append(s.columns, c)
		}
	}
	s.new, s.old = p.members(newSide, s.columns), p.members(oldSide, s.columns)
	s.keys = p.members(p.keyColumns(), s.columns)
	s.types = p.stream.encodeTypes(p.table, s.columns)
	return s
}
