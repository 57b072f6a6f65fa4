package engine

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// indexEntry is a change of an index: a nil row removes the entry.
type indexEntry struct {
	index *schema.Index
	key   string
	row   []any // the primary key of the row it stands for
}

// indexEntries lists what the transaction changes in indexes and checks
// uniqueness. It is called under the lock.
func (t *Txn) indexEntries() ([]indexEntry, error) {
	var out []indexEntry
	for _, p := range t.list {
		for _, x := range p.table.Indexes {
			before, had := entryKey(x, p.old, p.key)
			after, has := entryKey(x, p.new, p.key)
			if had && has && before == after {
				continue
			}
			if had {
				out = append(out, indexEntry{index: x, key: before})
			}
			if has {
				out = append(out, indexEntry{index: x, key: after, row: []any{p.key}})
			}
		}
	}
	return out, t.unique(out)
}

// entryKey is the key of a row's entry: the index key, then the primary key.
func entryKey(x *schema.Index, row []any, primary string) (string, bool) {
	if row == nil {
		return "", false
	}
	key, ok := x.AppendKey(nil, row)
	if !ok {
		return "", false
	}
	return string(key) + primary, true
}

// unique checks the new entries of unique indexes against the index as it will
// be: the stored entries without the removed ones, and the other new ones.
func (t *Txn) unique(entries []indexEntry) error {
	removed, added := map[tableKey]bool{}, map[tableKey]bool{}
	for _, e := range entries {
		if e.row == nil {
			removed[tableKey{e.index.ID, e.key}] = true
		}
	}
	for _, e := range entries {
		if e.row == nil || !e.index.Unique {
			continue
		}
		prefix := e.key[:len(e.key)-len(e.row[0].(string))]
		taken := added[tableKey{e.index.ID, prefix}]
		added[tableKey{e.index.ID, prefix}] = true
		t.scan(e.index.ID, prefix, value.PrefixEnd(prefix), func(key string, _ []any) bool {
			taken = taken || !removed[tableKey{e.index.ID, key}] && key != e.key
			return !taken
		}, func() bool { return true })
		if taken {
			return status.Errorf(codes.AlreadyExists, "Unique index violation on index %s of table %s.", e.index.Name, e.index.Table.Name)
		}
	}
	return nil
}

// references enforces foreign keys from and to the rows that were written.
// Cascading deletes extend the list while it is walked.
func (t *Txn) references() error {
	for i := 0; i < len(t.list); i++ {
		p := t.list[i]
		if p.new != nil {
			for _, f := range p.table.Foreign {
				if err := t.checkReference(f, p.new); err != nil {
					return err
				}
			}
		}
		if p.old == nil {
			continue
		}
		for _, other := range t.schema.Tables {
			for _, f := range other.Foreign {
				if f.Table != p.table || !f.Enforced {
					continue
				}
				if err := t.checkReferenced(other, f, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *Txn) checkReference(f *schema.ForeignKey, row []any) error {
	if !f.Enforced {
		return nil
	}
	want := make([]any, len(f.Columns))
	for i, c := range f.Columns {
		if want[i] = row[c.Slot]; want[i] == nil {
			return nil
		}
	}
	if !t.exists(f.Table, f.References, want) {
		return status.Errorf(codes.FailedPrecondition, "Foreign key constraint `%s` is violated: no row in table %s is referenced.", f.Name, f.Table.Name)
	}
	return nil
}

// checkReferenced looks for rows that reference one that changed or went.
func (t *Txn) checkReferenced(from *schema.Table, f *schema.ForeignKey, p *pending) error {
	want := make([]any, len(f.References))
	same := p.new != nil
	for i, c := range f.References {
		if want[i] = p.old[c.Slot]; want[i] == nil {
			return nil
		}
		same = same && value.Compare(want[i], p.new[c.Slot]) == 0
	}
	if same || t.exists(f.Table, f.References, want) {
		return nil
	}
	var keys []string
	t.match(from, f.Columns, want, func(key string) bool {
		keys = append(keys, key)
		return true
	})
	if len(keys) > 0 && !(f.Cascade && p.new == nil) {
		return status.Errorf(codes.FailedPrecondition, "Foreign key constraint `%s` is violated: rows in table %s reference the row.", f.Name, from.Name)
	}
	for _, key := range keys {
		if err := t.drop(from, key); err != nil {
			return err
		}
	}
	return nil
}

func (t *Txn) exists(table *schema.Table, columns []*schema.Column, want []any) bool {
	found := false
	t.match(table, columns, want, func(string) bool {
		found = true
		return false
	})
	return found
}

// match finds rows by column values, through the primary key as far as the
// columns begin it.
func (t *Txn) match(table *schema.Table, columns []*schema.Column, want []any, each func(key string) bool) {
	var prefix []byte
	for _, part := range table.Key {
		i := indexOf(columns, part.Column)
		if i < 0 {
			break
		}
		prefix = value.AppendKey(prefix, want[i], part.Desc)
	}
	t.Scan(table, string(prefix), value.PrefixEnd(string(prefix)), func(key string, row []any) bool {
		for i, c := range columns {
			if row[c.Slot] == nil || value.Compare(row[c.Slot], want[i]) != 0 {
				return true
			}
		}
		return each(key)
	})
}

func indexOf(columns []*schema.Column, c *schema.Column) int {
	for i, other := range columns {
		if other == c {
			return i
		}
	}
	return -1
}
