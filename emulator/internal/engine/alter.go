package engine

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

func sortKeyed(in []keyed) {
	slices.SortFunc(in, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
}

// Alter changes the schema: change gets the current one and returns another.
// Rows, indexes and streams follow; the timestamp is when it took effect.
func (db *Database) Alter(change func(*schema.Schema) (*schema.Schema, error)) (time.Time, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	old := db.Schema()
	next, err := change(old)
	if err != nil {
		return time.Time{}, err
	}
	at := db.event()
	if err := db.migrate(old, next, at); err != nil {
		db.forget(next, old)
		return time.Time{}, err
	}
	db.schema.Store(next)
	db.forget(old, next)
	db.follow(old, next, at)
	return changes.Time(at), nil
}

// migrate makes what the next schema has and the old one has not.
func (db *Database) migrate(old, next *schema.Schema, at store.Timestamp) error {
	for _, t := range next.Tables {
		before := byID(old, t.ID)
		if before == nil {
			db.tables[t.ID] = store.NewTable()
			continue
		}
		if err := db.fillColumns(next, before, t); err != nil {
			return err
		}
		if err := db.checkRows(next, before, t); err != nil {
			return err
		}
	}
	for _, x := range next.Indexes {
		if db.tables[x.ID] == nil {
			if err := db.build(next, x, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func byID(s *schema.Schema, id uint32) *schema.Table {
	for _, t := range s.Tables {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// fillColumns gives existing rows the values of added columns.
func (db *Database) fillColumns(next *schema.Schema, before, after *schema.Table) error {
	var defaults []*schema.Column
	generated := false
	for _, c := range after.Columns {
		if c.Slot < before.Slots {
			continue
		}
		if c.NotNull && c.Default == nil && c.Generated == nil && db.tables[after.ID].Len() > 0 {
			return status.Errorf(codes.FailedPrecondition, "Cannot add NOT NULL column %s.%s to existing table.", after.Name, c.Name)
		}
		if c.Default != nil {
			defaults = append(defaults, c)
		}
		generated = generated || c.Generated != nil
	}
	if len(defaults) > 0 {
		return db.backfill(next, after, defaults)
	}
	if generated {
		return db.regenerate(after)
	}
	return nil
}

// regenerate computes added generated columns; no stream records that.
func (db *Database) regenerate(table *schema.Table) error {
	rows, at := db.tables[table.ID], db.event()
	var all []keyed
	rows.Scan("", "", store.Max, func(key string, row store.Row) bool {
		all = append(all, keyed{key, slices.Clone(pad(table, row))})
		return true
	})
	for _, k := range all {
		if len(k.row) < table.Slots {
			k.row = pad(table, k.row)
		}
		if err := finish(table, k.row); err != nil {
			return err
		}
	}
	for _, k := range all {
		db.put(table.ID, k.key, k.row, at)
	}
	return nil
}

// checkRows refuses a NOT NULL or CHECK that existing rows break.
func (db *Database) checkRows(next *schema.Schema, before, after *schema.Table) error {
	stricter := len(after.Checks) > len(before.Checks)
	for _, c := range after.Columns {
		for _, o := range before.Columns {
			stricter = stricter || o.Slot == c.Slot && c.NotNull && !o.NotNull
		}
	}
	if !stricter {
		return nil
	}
	var err error
	db.tables[after.ID].Scan("", "", store.Max, func(_ string, row store.Row) bool {
		err = finish(after, slices.Clone(pad(after, row)))
		return err == nil
	})
	return err
}

// build fills a new index.
func (db *Database) build(next *schema.Schema, x *schema.Index, at store.Timestamp) error {
	entries := store.NewTable()
	last, duplicate := "", false
	var keys []keyed
	db.tables[x.Table.ID].Scan("", "", store.Max, func(key string, row store.Row) bool {
		if entry, ok := entryKey(x, pad(x.Table, row), key); ok {
			keys = append(keys, keyed{entry, []any{key}})
		}
		return true
	})
	sortKeyed(keys)
	for i, k := range keys {
		primary := k.row[0].(string)
		prefix := k.key[:len(k.key)-len(primary)]
		duplicate = duplicate || i > 0 && prefix == last
		last = prefix
		entries.Put(k.key, k.row, at)
	}
	if duplicate && x.Unique {
		return status.Errorf(codes.FailedPrecondition, "Found uniqueness violation on index %s of table %s.", x.Name, x.Table.Name)
	}
	db.tables[x.ID] = entries
	return nil
}

// forget drops the rows and streams that the next schema does not have.
func (db *Database) forget(old, next *schema.Schema) {
	ids := map[uint32]bool{}
	for _, t := range next.Tables {
		ids[t.ID] = true
	}
	for _, x := range next.Indexes {
		ids[x.ID] = true
	}
	for _, t := range old.Tables {
		if !ids[t.ID] {
			delete(db.tables, t.ID)
		}
	}
	for _, x := range old.Indexes {
		if !ids[x.ID] {
			delete(db.tables, x.ID)
		}
	}
}

// follow makes, alters and drops change streams.
func (db *Database) follow(old, next *schema.Schema, at store.Timestamp) {
	for _, def := range old.Streams {
		if next.Stream(def.Name) == nil {
			name := next.Fold(def.Name)
			db.streams[name].Drop()
			delete(db.streams, name)
		}
	}
	for _, def := range next.Streams {
		name := next.Fold(def.Name)
		if s := db.streams[name]; s != nil {
			s.Alter(next)
			continue
		}
		db.streams[name] = changes.New(next, def, at, db.config.Stream)
	}
}
