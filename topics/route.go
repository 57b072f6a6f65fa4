package topics

import (
	"bytes"
	"slices"
	"strings"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/jsonscan"
)

// A Route makes topics of the changes of one table and mod type. Routes are
// shared and immutable; equal ones of a Router are one pointer.
type Route struct {
	// Levels are the prefixes of the topics that can be counted, from the empty
	// one down. The last is the whole topic unless that is made from row data.
	Levels []string
	// SchemaLevel is where the table's schema is announced: the level that the
	// table's name ends, or the last one if the template does not name it.
	SchemaLevel string

	row []piece // what follows the last level; empty when nothing does
}

// A piece of a topic that is made from row data: text, or a value.
type piece struct {
	text  string
	value placeholder
	key   string // column, of a key value
}

// Static tells whether all changes of the route have one topic, and which.
func (r *Route) Static() (string, bool) {
	return r.Levels[len(r.Levels)-1], len(r.row) == 0
}

// Append appends the topic of a change.
func (r *Route) Append(dst []byte, rec *changestream.DataChangeRecord, mod *changestream.Mod) ([]byte, error) {
	start := len(dst)
	dst = append(dst, r.Levels[len(r.Levels)-1]...)
	for i := range r.row {
		var err error
		if dst, err = r.row[i].append(dst, rec, mod); err != nil {
			return dst[:start], err
		}
	}
	if len(dst)-start <= MaxLen {
		return dst, nil
	}
	return r.appendCut(dst[:start], rec, mod)
}

func (p *piece) append(dst []byte, rec *changestream.DataChangeRecord, mod *changestream.Mod) ([]byte, error) {
	switch p.value {
	case vTag:
		return appendEscaped(dst, rec.TransactionTag), nil
	case vKeyColumn:
		return appendKey(dst, mod.Keys, p.key)
	}
	return append(dst, p.text...), nil
}

// appendKey appends the value of a key column, or NULL if there is none.
func appendKey(dst, keys []byte, column string) ([]byte, error) {
	m, err := jsonscan.Object(keys)
	for err == nil && m.Next() {
		if string(m.Key) != column {
			continue
		}
		switch {
		case m.Value[0] == '"':
			text, err := jsonscan.Text(m.Value)
			return appendEscaped(dst, text), err
		case string(m.Value) == "null":
			return append(dst, nullValue...), nil
		}
		return appendEscaped(dst, m.Value), nil
	}
	if err == nil {
		err = m.Err
	}
	return append(dst, nullValue...), err
}

// appendCut is Append for a topic that would be too long.
func (r *Route) appendCut(dst []byte, rec *changestream.DataChangeRecord, mod *changestream.Mod) ([]byte, error) {
	level := r.Levels[len(r.Levels)-1]
	parts := make([]part, len(r.row))
	for i := range r.row {
		text, err := r.row[i].append(nil, rec, mod)
		if err != nil {
			return dst, err
		}
		parts[i] = part{text: text, value: r.row[i].value != noValue}
	}
	whole := joinParts(parts)
	dst = append(dst, level...)
	if cut(parts, MaxLen-len(level)) {
		return append(dst, joinParts(parts)...), nil
	}
	// So many values that not even their hashes have room: one for all.
	return append(append(dst, shorten(whole, hashLen)...), '/'), nil
}

func joinParts(parts []part) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p.text...)
	}
	return out
}

// names are the values of a template that do not come from a row.
type names struct {
	database, stream string
	schema           *changestream.Schema
	op               changestream.ModType
}

func (n names) value(v placeholder) string {
	switch v {
	case vDatabase:
		return n.database
	case vStream:
		return n.stream
	case vTable:
		return n.schema.Table
	case vOp:
		return string(n.op)
	case vSchema:
		if schema, _, found := strings.Cut(n.schema.Table, "."); found {
			return schema
		}
	}
	return ""
}

// newRoute works a template out as far as it does not depend on the row.
func newRoute(t *Template, n names) *Route {
	r := &Route{Levels: []string{""}}
	fixed := slices.IndexFunc(t.segments, func(s segment) bool { return s.value.fromRow() })
	if fixed < 0 {
		fixed = len(t.segments)
	}
	for _, s := range t.segments[fixed:] {
		r.row = append(r.row, rowPieces(s, n)...)
	}
	parts := fixedParts(t.segments[:fixed], n)
	cut(parts, MaxLen-leastRoom(r.row))
	level := ""
	for i := 0; i < len(parts); i += 3 { // prefix, value, suffix with '/'
		level += string(parts[i].text) + string(parts[i+1].text) + string(parts[i+2].text)
		r.Levels = append(r.Levels, level)
		if t.segments[i/3].value == vTable {
			r.SchemaLevel = level
		}
	}
	if r.SchemaLevel == "" {
		r.SchemaLevel = level
	}
	return r
}

// fixedParts are three parts for each segment.
func fixedParts(segments []segment, n names) []part {
	var parts []part
	for _, s := range segments {
		value := part{value: s.value != noValue}
		if value.value {
			value.text = appendEscaped(nil, []byte(n.value(s.value)))
		}
		parts = append(parts, part{text: []byte(s.prefix)}, value, part{text: []byte(s.suffix + "/")})
	}
	return parts
}

// rowPieces are the pieces of a segment below the first that comes from a row.
func rowPieces(s segment, n names) []piece {
	switch s.value {
	case vKey:
		var out []piece
		for _, c := range n.schema.Columns {
			if c.IsPrimaryKey {
				out = append(out, piece{value: vKeyColumn, key: c.Name}, piece{text: "/"})
			}
		}
		return out
	case vKeyColumn, vTag:
		return []piece{{text: s.prefix}, {value: s.value, key: keyColumn(n.schema, s.column)}, {text: s.suffix + "/"}}
	case noValue:
		return []piece{{text: s.prefix + "/"}}
	}
	return []piece{{text: s.prefix + string(appendEscaped(nil, []byte(n.value(s.value)))) + s.suffix + "/"}}
}

// keyColumn finds a key column whatever the case in which it is written, as SQL
// does.
func keyColumn(s *changestream.Schema, name string) string {
	for _, c := range s.Columns {
		if c.IsPrimaryKey && strings.EqualFold(c.Name, name) {
			return c.Name
		}
	}
	return name
}

// leastRoom is the room that the row's part of a topic needs when all its values
// are cut to hashes, as far as it can be given.
func leastRoom(row []piece) int {
	room := 0
	for _, p := range row {
		if room += len(p.text); p.value != noValue {
			room += hashLen
		}
	}
	return min(room, MaxLen/2)
}

// equal tells whether two routes make the same topics.
func (r *Route) equal(o *Route) bool {
	return slices.Equal(r.Levels, o.Levels) && slices.Equal(r.row, o.row) && r.SchemaLevel == o.SchemaLevel
}

// hash is the same for equal routes.
func (r *Route) hash() string {
	var b bytes.Buffer
	b.WriteString(r.Levels[len(r.Levels)-1])
	for _, p := range r.row {
		b.WriteByte(0)
		b.WriteString(p.text)
		b.WriteByte(byte(p.value))
		b.WriteString(p.key)
	}
	return b.String()
}

// AppendSubject appends the table and the key values of a change, each escaped
// as in a topic, with '/' between. Nothing is cut.
func AppendSubject(dst []byte, rec *changestream.DataChangeRecord, mod *changestream.Mod) ([]byte, error) {
	dst = appendEscaped(dst, []byte(rec.Schema.Table))
	for i := range rec.Schema.Columns {
		if c := &rec.Schema.Columns[i]; c.IsPrimaryKey {
			var err error
			if dst, err = appendKey(append(dst, '/'), mod.Keys, c.Name); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}
