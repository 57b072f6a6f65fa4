package engine

import (
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// ReadRequest is a read by key set.
type ReadRequest struct {
	Table   string
	Index   string // empty: the primary key
	Columns []string
	Keys    *sppb.KeySet
	Limit   int64       // 0: none
	Part    store.Range // only keys in this range; the zero value is all
}

// readPlan is a read that has been checked.
type readPlan struct {
	table   *schema.Table
	index   *schema.Index // nil: the primary key
	columns []*schema.Column
	spans   []span
}

func (t *Txn) planRead(r ReadRequest) (p readPlan, err error) {
	if p.table, err = tableOf(t.schema, r.Table); err != nil {
		return p, err
	}
	if p.columns, err = columnsOf(t.schema, p.table, r.Columns); err != nil {
		return p, err
	}
	if len(p.columns) == 0 {
		return p, status.Error(codes.InvalidArgument, "A read must name at least one column.")
	}
	key := p.table.Key
	if r.Index != "" {
		if p.index, key, err = t.indexFor(p.table, r.Index, p.columns); err != nil {
			return p, err
		}
	}
	p.spans, err = keySpans(key, r.Keys)
	return p, err
}

// Read checks a read and returns its columns and a function that yields its
// rows, in key order within each key or range.
func (t *Txn) Read(r ReadRequest) ([]*schema.Column, func(each func(row []any) bool), error) {
	p, err := t.planRead(r)
	if err != nil {
		return nil, nil, err
	}
	rows := func(each func(row []any) bool) {
		left := r.Limit
		emit := func(_ string, row []any) bool {
			out := make([]any, len(p.columns))
			for i, c := range p.columns {
				out[i] = row[c.Slot]
			}
			left--
			return each(out) && left != 0
		}
		t.readSpans(p.table, p.index, clipped(p.spans, r.Part), emit)
	}
	return p.columns, rows, nil
}

// clipped is what of some spans lies in a range.
func clipped(spans []span, part store.Range) []span {
	if part == (store.Range{}) {
		return spans
	}
	var out []span
	for _, s := range spans {
		from, to, ok := part.Clip(s.from, s.to)
		if ok && (!s.point || from == s.from) {
			s.from, s.to = from, to
			out = append(out, s)
		}
	}
	return out
}

// indexFor finds an index and checks that it holds the columns.
func (t *Txn) indexFor(table *schema.Table, name string, columns []*schema.Column) (*schema.Index, []schema.KeyPart, error) {
	index := t.schema.Index(name)
	if index == nil || index.Table != table {
		return nil, nil, status.Errorf(codes.NotFound, "Index not found on table %s: %.200s", table.Name, name)
	}
	for _, c := range columns {
		held := c.IsKey || indexOf(index.Storing, c) >= 0
		for _, part := range index.Key {
			held = held || part.Column == c
		}
		if !held {
			return nil, nil, status.Errorf(codes.Unimplemented, "Reading non-indexed column %s via index %s is not supported.", c.Name, index.Name)
		}
	}
	key := append([]schema.KeyPart(nil), index.Key...)
	return index, key, nil
}

func (t *Txn) readSpans(table *schema.Table, index *schema.Index, spans []span, emit func(string, []any) bool) {
	stopped := false
	each := func(key string, row []any) bool {
		stopped = !emit(key, row)
		return !stopped
	}
	for _, s := range spans {
		switch {
		case stopped:
			return
		case index != nil:
			t.ScanIndex(index, s.from, s.to, each)
		case s.point:
			if row := t.get(table, s.from); row != nil {
				each(s.from, row)
			}
		default:
			t.Scan(table, s.from, s.to, each)
		}
	}
}

// ScanIndex calls each with the rows that an index's entries of [from, to)
// stand for, in index order. A transaction's own writes are merged in.
func (t *Txn) ScanIndex(x *schema.Index, from, to string, each func(key string, row []any) bool) {
	own := t.ownEntries(x, from, to)
	next := func(key string) bool { // own entries before key
		for len(own) > 0 && (key == "" || own[0].key < key) {
			e := own[0]
			own = own[1:]
			if !each(e.key, e.row) {
				return false
			}
		}
		return true
	}
	t.scan(x.ID, from, to, func(key string, entry []any) bool {
		if !next(key) {
			return false
		}
		primary, _ := entry[0].(string)
		if b := t.buffers[x.Table.ID]; b != nil && b.byKey[primary] != nil {
			return true // it is among our own
		}
		row := t.get(x.Table, primary)
		return row == nil || each(key, row)
	}, func() bool { return next("") })
}

// ownEntries are the index entries of the transaction's own rows, in order.
func (t *Txn) ownEntries(x *schema.Index, from, to string) []keyed {
	var out []keyed
	b := t.buffers[x.Table.ID]
	if b == nil {
		return nil
	}
	for _, p := range b.byKey {
		if key, ok := entryKey(x, p.new, p.key); ok && key >= from && (to == "" || key < to) {
			out = append(out, keyed{key, p.new})
		}
	}
	sortKeyed(out)
	return out
}
