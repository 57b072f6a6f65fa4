package changestream

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Schema is the column list that a data change record carries: the key
// columns and those that its mods may hold values of. Schemas are immutable and
// interned by Schemas, so that equal ones are one pointer.
type Schema struct {
	Table   string // with its schema when it is a named one
	Columns []Column
	Hash    string // 16 hex digits of the column list, the same everywhere
}

// A Column of a Schema, in the order of its ordinal positions.
type Column struct {
	Name            string          `json:"name"`
	Type            json.RawMessage `json:"type"` // Spanner's type as compact JSON, members sorted
	IsPrimaryKey    bool            `json:"is_primary_key"`
	OrdinalPosition int64           `json:"ordinal_position"` // from 1, with gaps
}

// Code is the type code at the top of the column's type, for example ARRAY.
func (c Column) Code() string {
	var t struct{ Code string }
	if json.Unmarshal(c.Type, &t) != nil {
		return ""
	}
	return t.Code
}

// MarshalJSON writes the column list as schema messages carry it.
func (s *Schema) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Table   string   `json:"table"`
		Hash    string   `json:"schema"`
		Columns []Column `json:"columns"`
	}{s.Table, s.Hash, s.Columns})
}

// newSchema sorts the columns, brings their types to one form and hashes the
// list: the first eight bytes of the SHA-256 of its JSON.
func newSchema(table string, columns []Column) (*Schema, error) {
	slices.SortStableFunc(columns, func(a, b Column) int { return int(a.OrdinalPosition - b.OrdinalPosition) })
	for i := range columns {
		var generic any
		if err := json.Unmarshal(columns[i].Type, &generic); err != nil {
			return nil, fmt.Errorf("type of column %s.%s: %w", table, columns[i].Name, err)
		}
		columns[i].Type, _ = json.Marshal(generic) // members sorted, no spaces
	}
	list, err := json.Marshal(columns)
	if err != nil {
		return nil, fmt.Errorf("columns of table %s: %w", table, err)
	}
	sum := sha256.Sum256(list)
	return &Schema{Table: table, Columns: columns, Hash: hex.EncodeToString(sum[:8])}, nil
}

// Schemas interns schemas for all partitions of a stream. It is bounded: when
// it has seen very many column lists it forgets them and begins anew, which
// costs a repeated schema message and nothing else.
type Schemas struct {
	mu   sync.Mutex
	seen map[string]*Schema // by table, NUL and hash
}

const maxSchemas = 4096

// intern returns the schema that stands for this table and column list.
func (s *Schemas) intern(table string, columns []Column) (*Schema, error) {
	fresh, err := newSchema(strings.Clone(table), columns)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fresh.Table + "\x00" + fresh.Hash
	if old := s.seen[key]; old != nil {
		return old, nil
	}
	if s.seen == nil || len(s.seen) >= maxSchemas {
		s.seen = make(map[string]*Schema)
	}
	s.seen[key] = fresh
	return fresh, nil
}
