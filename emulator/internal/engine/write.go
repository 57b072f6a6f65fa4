package engine

import (
	"math/bits"
	"slices"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// Insert adds a row of which only the given columns are set; the others get
// their defaults.
func (t *Txn) Insert(table *schema.Table, columns []*schema.Column, values []any) ([]any, error) {
	row, err := t.newRow(table, columns, values)
	if err != nil {
		return nil, err
	}
	p := t.row(table, string(table.AppendKey(nil, row)))
	if p.new != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Table %s: Row %s already exists.", table.Name, describeKey(table, row))
	}
	if err := t.checkParent(table, row, p.key); err != nil {
		return nil, err
	}
	p.recreated = p.old != nil
	p.new, p.written = row, nil
	t.unname(table, p.key)
	return row, nil
}

// newRow is a whole row from some of its columns.
func (t *Txn) newRow(table *schema.Table, columns []*schema.Column, values []any) ([]any, error) {
	row := make([]any, table.Slots)
	given := changes.NewSlots(table)
	for i, c := range columns {
		if err := t.assign(table, row, c, values[i]); err != nil {
			return nil, err
		}
		given.Add(c.Slot)
	}
	for _, c := range table.Columns {
		if given.Has(c.Slot) {
			continue
		}
		switch {
		case c.Default != nil:
			v, err := c.Default(nil)
			if err != nil {
				return nil, err
			}
			if err := t.assign(table, row, c, v); err != nil {
				return nil, err
			}
		case c.Identity:
			row[c.Slot] = int64(bits.Reverse64(uint64(t.db.ids.Add(1))) >> 1)
		}
	}
	return row, finish(table, row)
}

// assign puts a value into a row after checking that the column takes it.
func (t *Txn) assign(table *schema.Table, row []any, c *schema.Column, v any) error {
	if c.Generated != nil || c.TokenList {
		return status.Errorf(codes.InvalidArgument, "Cannot write into generated column `%s.%s`.", table.Name, c.Name)
	}
	if _, ok := v.(value.CommitTime); ok {
		if !c.CommitTime {
			return status.Errorf(codes.FailedPrecondition, "Cannot write commit timestamp into column %s.%s: allow_commit_timestamp is not set.", table.Name, c.Name)
		}
		if t.locked {
			v = changes.Time(t.at)
		}
	}
	if c.Size > 0 {
		if err := checkSize(table, c, v); err != nil {
			return err
		}
	}
	row[c.Slot] = v
	return nil
}

func checkSize(table *schema.Table, c *schema.Column, v any) error {
	n := 0
	switch v := v.(type) {
	case string:
		n = utf8.RuneCountInString(v)
	case value.Bytes:
		n = len(v)
	case []any:
		for _, element := range v {
			if err := checkSize(table, c, element); err != nil {
				return err
			}
		}
	}
	if int64(n) > c.Size {
		return status.Errorf(codes.FailedPrecondition, "New value exceeds the maximum size limit for this column: %s.%s, size: %d, limit: %d.", table.Name, c.Name, n, c.Size)
	}
	return nil
}

// finish computes generated columns and checks NOT NULL and CHECK.
func finish(table *schema.Table, row []any) error {
	for _, c := range table.Columns {
		if c.Generated != nil {
			v, err := c.Generated(row)
			if err != nil {
				return err
			}
			row[c.Slot] = v
		}
	}
	for _, c := range table.Columns {
		if c.NotNull && row[c.Slot] == nil && !c.TokenList {
			return status.Errorf(codes.FailedPrecondition, "%s must not be NULL in table %s.", c.Name, table.Name)
		}
	}
	for _, check := range table.Checks {
		ok, err := check.Eval(row)
		if err != nil {
			return err
		}
		if ok == false {
			return status.Errorf(codes.OutOfRange, "Check constraint `%s`.`%s` is violated for key %s.", table.Name, check.Name, describeKey(table, row))
		}
	}
	return nil
}

// Update changes columns of an existing row; the key is that of the row.
func (t *Txn) Update(table *schema.Table, key string, columns []*schema.Column, values []any) ([]any, error) {
	p := t.row(table, key)
	if p.new == nil {
		return nil, status.Errorf(codes.NotFound, "Row not found in table %s.", table.Name)
	}
	row := append([]any(nil), p.new...)
	if p.written == nil {
		p.written = changes.NewSlots(table)
	}
	for i, c := range columns {
		if c.IsKey {
			if value.Compare(row[c.Slot], values[i]) != 0 {
				return nil, status.Errorf(codes.InvalidArgument, "Cannot change primary key column %s of table %s.", c.Name, table.Name)
			}
			continue
		}
		if err := t.assign(table, row, c, values[i]); err != nil {
			return nil, err
		}
		p.written.Add(c.Slot)
	}
	if err := finish(table, row); err != nil {
		return nil, err
	}
	p.new = row
	return row, nil
}

// Delete removes a row if it is there, with its interleaved children. A later
// mutation must not update a row that was named for deletion, unless it was
// inserted since; one that is gone by a cascade is simply not found.
func (t *Txn) Delete(table *schema.Table, key string) error {
	t.name(table, key)
	return t.drop(table, key)
}

// name notes that a row was named for deletion.
func (t *Txn) name(table *schema.Table, key string) {
	if t.removed == nil {
		t.removed = map[tableKey]bool{}
	}
	t.removed[tableKey{table.ID, key}] = true
}

// nameRange notes that all rows of a range were.
func (t *Txn) nameRange(s tableSpan) {
	t.removedSpans = append(t.removedSpans, s)
	for k := range t.removed {
		if s.has(k) {
			t.removed[k] = true
		}
	}
}

// unname notes that a row was inserted.
func (t *Txn) unname(table *schema.Table, key string) {
	if t.named(table, key) {
		if t.removed == nil {
			t.removed = map[tableKey]bool{}
		}
		t.removed[tableKey{table.ID, key}] = false
	}
}

// named reports whether a row was named for deletion, by key or in a range, and
// not inserted since.
func (t *Txn) named(table *schema.Table, key string) bool {
	k := tableKey{table.ID, key}
	if named, known := t.removed[k]; known {
		return named
	}
	return slices.ContainsFunc(t.removedSpans, func(s tableSpan) bool { return s.has(k) })
}

// drop is Delete without naming the row.
func (t *Txn) drop(table *schema.Table, key string) error {
	if t.get(table, key) == nil {
		return nil
	}
	p := t.row(table, key)
	p.new, p.written, p.recreated = nil, nil, false
	for _, child := range table.Children {
		if !child.Enforced {
			continue
		}
		var keys []string
		t.Scan(child, key, value.PrefixEnd(key), func(k string, _ []any) bool {
			keys = append(keys, k)
			return true
		})
		if len(keys) > 0 && !child.Cascade {
			return status.Errorf(codes.FailedPrecondition, "Integrity constraint violation during DELETE/REPLACE. Found child row in table %s.", child.Name)
		}
		for _, k := range keys {
			if err := t.drop(child, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkParent wants the parent of an interleaved row.
func (t *Txn) checkParent(table *schema.Table, row []any, key string) error {
	if table.Parent == nil || !table.Enforced {
		return nil
	}
	var parent []byte
	for _, part := range table.Key[:len(table.Parent.Key)] {
		parent = value.AppendKey(parent, row[part.Column.Slot], part.Desc)
	}
	if t.get(table.Parent, string(parent)) == nil {
		return status.Errorf(codes.NotFound, "Parent row for row %s in table %s is missing. Row cannot be written.", describeKey(table, row), table.Name)
	}
	return nil
}

func describeKey(table *schema.Table, row []any) string {
	text := "["
	for i, part := range table.Key {
		if i > 0 {
			text += ","
		}
		if v := row[part.Column.Slot]; v == nil {
			text += "NULL"
		} else {
			text += value.Text(v)
		}
	}
	return text + "]"
}
