package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/spancast/spancast/test/conformance"
)

// column is a generated column.
type column struct {
	name      string
	typ       typ
	key       bool
	desc      bool
	generated bool
	dflt      bool
}

// table is a generated table.
type table struct {
	name    string
	columns []column
	parent  *table
}

// layout is a generated schema.
type layout struct {
	dialect conformance.Dialect
	tables  []*table
	streams map[string]string // name to capture type
	ddl     []string
}

func newLayout(r *rand.Rand) *layout {
	l := &layout{dialect: conformance.GoogleSQL, streams: map[string]string{}}
	if r.IntN(2) == 0 {
		l.dialect = conformance.PostgreSQL
	}
	for i := range 1 + r.IntN(3) {
		l.tables = append(l.tables, newTable(r, l, fmt.Sprintf("T%d", i), nil))
	}
	child := newTable(r, l, "Child", l.tables[0])
	l.tables = append(l.tables, child)
	for _, t := range l.tables {
		l.ddl = append(l.ddl, t.create(l.dialect))
	}
	l.addStreams(r)
	return l
}

func (l *layout) pg() bool { return l.dialect == conformance.PostgreSQL }

func newTable(r *rand.Rand, l *layout, name string, parent *table) *table {
	t := &table{name: name, parent: parent}
	if parent != nil {
		for _, c := range parent.columns {
			if c.key {
				t.columns = append(t.columns, c)
			}
		}
		t.columns = append(t.columns, column{name: "Sub", typ: int64Type, key: true})
	} else {
		for i := range 1 + r.IntN(2) {
			t.columns = append(t.columns, column{name: fmt.Sprintf("K%d", i), typ: []typ{int64Type, stringType, boolType, dateType}[r.IntN(4)], key: true, desc: !l.pg() && r.IntN(4) == 0})
		}
	}
	for i := range 1 + r.IntN(6) {
		t.columns = append(t.columns, column{name: fmt.Sprintf("C%d", i), typ: allTypes(l.pg())[r.IntN(len(allTypes(l.pg())))]})
	}
	if r.IntN(2) == 0 {
		t.columns = append(t.columns, column{name: "D", typ: int64Type, dflt: true})
	}
	if r.IntN(2) == 0 {
		t.columns = append(t.columns, column{name: "S", typ: stringType}, column{name: "G", typ: stringType, generated: true})
	}
	return t
}

func (t *table) create(d conformance.Dialect) string {
	pg := d == conformance.PostgreSQL
	q := func(s string) string {
		if pg {
			return `"` + s + `"`
		}
		return s
	}
	var defs, keys []string
	for _, c := range t.columns {
		def := q(c.name) + " " + c.typ.ddl(pg)
		switch {
		case c.key:
			key := q(c.name)
			if c.desc {
				key += " DESC"
			}
			keys = append(keys, key)
			def += " NOT NULL"
		case c.dflt && pg:
			def += " DEFAULT 42"
		case c.dflt:
			def += " DEFAULT (42)"
		case c.generated && pg:
			def += ` GENERATED ALWAYS AS (lower("S")) STORED`
		case c.generated:
			def += " AS (LOWER(S)) STORED"
		}
		defs = append(defs, def)
	}
	key := "PRIMARY KEY (" + strings.Join(keys, ", ") + ")"
	tail, comma := " "+key, ","
	if pg {
		defs, tail, comma = append(defs, key), "", ""
	}
	if t.parent != nil {
		tail += comma + " INTERLEAVE IN PARENT " + q(t.parent.name) + " ON DELETE CASCADE"
	}
	return "CREATE TABLE " + q(t.name) + " (" + strings.Join(defs, ", ") + ")" + tail
}

// addStreams watches everything with each of two capture types, and some
// columns of a table with another.
func (l *layout) addStreams(r *rand.Rand) {
	kinds := []string{"OLD_AND_NEW_VALUES", "NEW_VALUES", "NEW_ROW", "NEW_ROW_AND_OLD_VALUES"}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for i, watch := range []string{"ALL", "ALL"} {
		l.addStream(fmt.Sprintf("S%d", i), watch, kinds[i])
	}
	// Under NEW_ROW Google's emulator records updates of unwatched columns,
	// so streams that leave columns out have the other types.
	t := l.tables[r.IntN(len(l.tables))]
	var some []string
	for _, c := range t.columns {
		if !c.key && !c.generated && r.IntN(2) == 0 {
			some = append(some, l.quote(c.name))
		}
	}
	l.addStream("S2", l.quote(t.name)+"("+strings.Join(some, ", ")+")", []string{"OLD_AND_NEW_VALUES", "NEW_VALUES"}[r.IntN(2)])
}

func (l *layout) quote(s string) string {
	if l.pg() {
		return `"` + s + `"`
	}
	return s
}

func (l *layout) addStream(name, watch, capture string) {
	word := "OPTIONS"
	if l.pg() {
		word = "WITH"
	}
	l.streams[name] = capture
	l.ddl = append(l.ddl, fmt.Sprintf("CREATE CHANGE STREAM %s FOR %s %s (value_capture_type = '%s')", l.quote(name), watch, word, capture))
}
