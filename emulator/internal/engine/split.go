package engine

import (
	"slices"
	"strings"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

// Parts says into how many parts keys are divided.
type Parts struct {
	Bytes int64 // that a part should have; 0: it does not matter
	Most  int64 // parts; 0: it does not matter
}

const (
	partRows  = 16     // that make a part worth while if Bytes does not matter
	partsMost = 4      // if nothing else is said
	partsEver = 10_000 // whatever is said
)

// weight is a row's key and about how many bytes it has.
type weight struct {
	key  string
	size int64
}

// SplitTable divides a table's keys into ranges with about equally much data.
func (t *Txn) SplitTable(table *schema.Table, p Parts) []store.Range {
	var rows []weight
	t.Scan(table, "", "", func(key string, row []any) bool {
		rows = append(rows, weight{key, sizeOf(row)})
		return true
	})
	return p.split(rows)
}

// SplitRead divides the keys that a read reads: the primary key's or the
// index's.
func (t *Txn) SplitRead(r ReadRequest, p Parts) ([]store.Range, error) {
	plan, err := t.planRead(r)
	if err != nil {
		return nil, err
	}
	var rows []weight
	t.readSpans(plan.table, plan.index, plan.spans, func(key string, row []any) bool {
		rows = append(rows, weight{key, sizeOf(row)})
		return true
	})
	slices.SortFunc(rows, func(a, b weight) int { return strings.Compare(a.key, b.key) })
	return p.split(rows), nil
}

func (p Parts) split(rows []weight) []store.Range {
	total := int64(0)
	for _, row := range rows {
		total += row.size
	}
	n := p.count(int64(len(rows)), total)
	out, seen := []store.Range{{}}, int64(0)
	for _, row := range rows {
		last := &out[len(out)-1]
		if seen > 0 && row.key > last.From && seen*n >= total*int64(len(out)) && int64(len(out)) < n {
			last.To = row.key
			out = append(out, store.Range{From: row.key})
		}
		seen += row.size
	}
	return out
}

func (p Parts) count(rows, total int64) int64 {
	n := rows / partRows
	switch {
	case p.Bytes > 0:
		n = (total + p.Bytes - 1) / p.Bytes
	case p.Most <= 0:
		n = min(n, partsMost)
	}
	if p.Most > 0 {
		n = min(n, p.Most)
	}
	return max(1, min(n, partsEver))
}

// sizeOf is about how many bytes a row has.
func sizeOf(row []any) int64 {
	n := int64(0)
	for _, v := range row {
		switch v := v.(type) {
		case string:
			n += int64(len(v))
		case value.Bytes:
			n += int64(len(v))
		case value.JSON:
			n += int64(len(v))
		case []any:
			n += sizeOf(v)
		}
		n += 8
	}
	return n
}
