// Package schema is a database's catalogue: tables, columns, indexes, foreign
// keys, change streams. A Schema that has been published is never changed: DDL
// works on a Clone and publishes that.
package schema

import (
	"slices"
	"strings"

	"github.com/spancast/spancast/emulator/internal/value"
)

// Dialect of a database.
type Dialect int

// The two dialects.
const (
	GoogleSQL Dialect = iota
	PostgreSQL
)

// Schema is the catalogue at one moment.
type Schema struct {
	Dialect Dialect
	Name    string // the database's id, which INFORMATION_SCHEMA of PostgreSQL shows
	Tables  []*Table
	Indexes []*Index
	Streams []*Stream
	Schemas []string // named schemas
	// Accepted holds statements that have no effect here but are printed back:
	// roles, grants, database options.
	Accepted []string
	NextID   uint32 // of tables and indexes; never used twice
}

// Eval computes an expression on a row (its values by slot).
type Eval func(row []any) (any, error)

// Table is a table.
type Table struct {
	ID       uint32
	Name     string // with its schema, "sales.Orders"
	Columns  []*Column
	Key      []KeyPart
	Parent   *Table // nil for a table that is not interleaved
	Enforced bool   // INTERLEAVE IN PARENT rather than INTERLEAVE IN
	Cascade  bool   // ON DELETE CASCADE
	Children []*Table
	Indexes  []*Index
	Foreign  []*ForeignKey // from this table
	Checks   []*Check
	Slots    int    // values in a row; slots of dropped columns are not used again
	TTL      string // row deletion policy as printed; rows are not deleted by it
	Root     uint32 // ID of the topmost parent: begins the partition key
}

// KeyPart is one part of a primary key or index.
type KeyPart struct {
	Column *Column
	Desc   bool
}

// Column is a column.
type Column struct {
	Name          string
	Type          *value.Type
	Size          int64 // of STRING and BYTES, 0: MAX
	NotNull       bool
	Slot          int
	IsKey         bool
	Hidden        bool
	TokenList     bool // a TOKENLIST: accepted, holds nothing
	CommitTime    bool // allow_commit_timestamp
	Identity      bool
	Stored        bool // a generated column that is STORED
	DefaultText   string
	GeneratedText string
	Default       Eval
	Generated     Eval
}

// Index is a secondary index, unique or not.
type Index struct {
	ID           uint32
	Name         string
	Table        *Table
	Key          []KeyPart
	Storing      []*Column
	Unique       bool
	NullFiltered bool
}

// ForeignKey is a constraint of the table that has it.
type ForeignKey struct {
	Name       string
	Columns    []*Column
	Table      *Table // referenced
	References []*Column
	Cascade    bool
	Enforced   bool
}

// Check is a CHECK constraint.
type Check struct {
	Name string
	Text string
	Eval Eval
}

// Fold is the form in which names are compared.
func (s *Schema) Fold(name string) string {
	if s.Dialect == PostgreSQL {
		return name
	}
	return strings.ToLower(name)
}

// Same reports whether two names are the same.
func (s *Schema) Same(a, b string) bool { return s.Fold(a) == s.Fold(b) }

// Table finds a table by name; nil when there is none.
func (s *Schema) Table(name string) *Table {
	if s.Dialect == PostgreSQL {
		name = strings.TrimPrefix(name, "public.")
	}
	for _, t := range s.Tables {
		if s.Same(t.Name, name) {
			return t
		}
	}
	return nil
}

// Index finds an index by name.
func (s *Schema) Index(name string) *Index {
	for _, x := range s.Indexes {
		if s.Same(x.Name, name) {
			return x
		}
	}
	return nil
}

// Stream finds a change stream by name.
func (s *Schema) Stream(name string) *Stream {
	for _, x := range s.Streams {
		if s.Same(x.Name, name) {
			return x
		}
	}
	return nil
}

// Column finds a column by name.
func (s *Schema) Column(t *Table, name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name || s.Same(c.Name, name) {
			return c
		}
	}
	return nil
}

// Ordinal is the 1-based position of a column in its table's definition.
func (t *Table) Ordinal(c *Column) int { return slices.Index(t.Columns, c) + 1 }

// AppendKey appends the encoded primary key of a row.
func (t *Table) AppendKey(dst []byte, row []any) []byte {
	for _, part := range t.Key {
		dst = value.AppendKey(dst, row[part.Column.Slot], part.Desc)
	}
	return dst
}

// AppendKey appends the encoded index key of a row, without the primary key;
// false means that the row is not in the index.
func (x *Index) AppendKey(dst []byte, row []any) ([]byte, bool) {
	for _, part := range x.Key {
		v := row[part.Column.Slot]
		if v == nil && x.NullFiltered {
			return dst, false
		}
		dst = value.AppendKey(dst, v, part.Desc)
	}
	return dst, true
}

// Clone copies the catalogue deeply enough that DDL can work on the copy.
// Columns are copied too; the pointers between objects are set anew.
func (s *Schema) Clone() *Schema {
	out := *s
	c := &cloner{tables: map[*Table]*Table{}, columns: map[*Column]*Column{}}
	out.Tables = nil
	for _, t := range s.Tables {
		out.Tables = append(out.Tables, c.table(t))
	}
	for _, t := range s.Tables {
		c.links(t)
	}
	out.Indexes = nil
	for _, x := range s.Indexes {
		out.Indexes = append(out.Indexes, c.index(x))
	}
	out.Streams = nil
	for _, x := range s.Streams {
		copied := *x
		copied.Tables = slices.Clone(x.Tables)
		out.Streams = append(out.Streams, &copied)
	}
	out.Schemas, out.Accepted = slices.Clone(s.Schemas), slices.Clone(s.Accepted)
	return &out
}

type cloner struct {
	tables  map[*Table]*Table
	columns map[*Column]*Column
}

func (c *cloner) table(t *Table) *Table {
	out := *t
	c.tables[t] = &out
	out.Columns = nil
	for _, column := range t.Columns {
		copied := *column
		c.columns[column] = &copied
		out.Columns = append(out.Columns, &copied)
	}
	out.Key, out.Indexes = c.parts(t.Key), nil
	return &out
}

func (c *cloner) parts(in []KeyPart) []KeyPart {
	var out []KeyPart
	for _, part := range in {
		out = append(out, KeyPart{c.columns[part.Column], part.Desc})
	}
	return out
}

func (c *cloner) list(in []*Column) []*Column {
	var out []*Column
	for _, column := range in {
		out = append(out, c.columns[column])
	}
	return out
}

// links copies what points from one table to others.
func (c *cloner) links(t *Table) {
	out := c.tables[t]
	if t.Parent != nil {
		out.Parent = c.tables[t.Parent]
	}
	out.Children = nil
	for _, child := range t.Children {
		out.Children = append(out.Children, c.tables[child])
	}
	out.Foreign = nil
	for _, f := range t.Foreign {
		copied := *f
		copied.Columns, copied.Table, copied.References = c.list(f.Columns), c.tables[f.Table], c.list(f.References)
		out.Foreign = append(out.Foreign, &copied)
	}
	out.Checks = slices.Clone(t.Checks)
}

func (c *cloner) index(x *Index) *Index {
	out := *x
	out.Table, out.Key, out.Storing = c.tables[x.Table], c.parts(x.Key), c.list(x.Storing)
	out.Table.Indexes = append(out.Table.Indexes, &out)
	return &out
}
