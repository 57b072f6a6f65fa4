package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/spanner"
	"google.golang.org/api/iterator"

	"github.com/spancast/spancast/changestream"
)

// A table is one that the change stream watches, with the columns that it
// watches, the primary key first, in its order.
type table struct {
	name    string // as change records have it
	keys    int    // number of key columns
	columns []tableColumn
	byName  [2][]int // places of the key columns, and of the others, by name
}

type tableColumn struct {
	name    string
	ordinal int64
	desc    bool // of a key column
}

// sortNames notes the order in which change records name the columns: that of
// the members of a JSON object in Spanner.
func (t *table) sortNames() {
	for i := range t.columns {
		kind := 0
		if i >= t.keys {
			kind = 1
		}
		t.byName[kind] = append(t.byName[kind], i)
	}
	for _, list := range t.byName {
		slices.SortFunc(list, func(a, b int) int { return cmp.Compare(t.columns[a].name, t.columns[b].name) })
	}
}

// KeyColumns returns the names of the key columns, in their order, of the tables
// that a change stream watches, by name of the table. Of those to ignore, or that
// the client's role may not see, there is nothing.
func KeyColumns(ctx context.Context, client *spanner.Client, info changestream.Info, ignore func(table string) bool) (map[string][]string, error) {
	tables, err := catalog{client: client, info: info}.tables(ctx, ignore)
	out := make(map[string][]string, len(tables))
	for _, t := range tables {
		for _, c := range t.columns[:t.keys] {
			out[t.name] = append(out[t.name], c.name)
		}
	}
	return out, err
}

// catalog reads what a change stream watches from the information schema.
type catalog struct {
	client *spanner.Client
	info   changestream.Info
}

// tables returns the watched tables, by name.
func (c catalog) tables(ctx context.Context, ignore func(string) bool) ([]table, error) {
	watched, err := c.watched(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*table)
	err = c.rows(ctx, `SELECT table_schema, table_name, column_name, is_generated, ordinal_position FROM information_schema.columns`, func(row []string, ordinal int64) {
		name, column := c.name(row[0], row[1]), row[2]
		key, isKey := keys[name][column]
		if len(keys[name]) == 0 || ignore(name) || !isKey && (row[3] == "ALWAYS" || !watched(name, column)) || !watched(name, "") {
			return
		}
		t := all[name]
		if t == nil {
			t = &table{name: name, keys: len(keys[name])}
			all[name] = t
		}
		t.columns = append(t.columns, tableColumn{name: column, ordinal: ordinal, desc: key.desc})
	})
	if err != nil {
		return nil, err
	}
	var out []table
	for name, t := range all {
		slices.SortFunc(t.columns, func(a, b tableColumn) int {
			return cmp.Or(cmp.Compare(keys[name].place(a), keys[name].place(b)), cmp.Compare(a.ordinal, b.ordinal))
		})
		t.sortNames()
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b table) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// watched returns what tells whether a column is watched; the empty one stands
// for the table itself.
func (c catalog) watched(ctx context.Context) (func(table, column string) bool, error) {
	if c.info.WatchesAll {
		return func(string, string) bool { return true }, nil
	}
	whole, columns := make(map[string]bool), make(map[string]bool)
	text := "CAST(all_columns AS STRING)"
	if c.info.Dialect == changestream.PostgreSQL {
		text = "all_columns"
	}
	err := c.rows(ctx, `SELECT table_schema, table_name, change_stream_name, `+text+` FROM information_schema.change_stream_tables`, func(row []string, _ int64) {
		if row[2] == c.info.Stream {
			whole[c.name(row[0], row[1])] = row[3] == "true" || row[3] == "YES"
		}
	})
	if err != nil {
		return nil, err
	}
	err = c.rows(ctx, `SELECT table_schema, table_name, change_stream_name, column_name FROM information_schema.change_stream_columns`, func(row []string, _ int64) {
		if row[2] == c.info.Stream {
			columns[c.name(row[0], row[1])+"\x00"+row[3]] = true
		}
	})
	return func(table, column string) bool {
		all, ok := whole[table]
		return ok && (all || column == "" || columns[table+"\x00"+column])
	}, err
}

// keyParts are the primary key of a table, by column.
type keyParts map[string]keyPart

type keyPart struct {
	place int64 // from 1
	desc  bool
}

// place sorts key columns before others.
func (k keyParts) place(c tableColumn) int64 {
	if p, ok := k[c.name]; ok {
		return p.place
	}
	return 1 << 32
}

func (c catalog) keys(ctx context.Context) (map[string]keyParts, error) {
	out := make(map[string]keyParts)
	err := c.rows(ctx, `SELECT table_schema, table_name, column_name, column_ordering, ordinal_position FROM information_schema.index_columns WHERE index_type = 'PRIMARY_KEY'`, func(row []string, place int64) {
		name := c.name(row[0], row[1])
		if out[name] == nil {
			out[name] = make(keyParts)
		}
		out[name][row[2]] = keyPart{place: place, desc: strings.HasPrefix(row[3], "DESC")}
	})
	return out, err
}

// name is a table's name as change records have it; empty for those of the
// system.
func (c catalog) name(schema, table string) string {
	switch {
	case schema == "" || c.info.Dialect == changestream.PostgreSQL && schema == "public":
		return table
	}
	return schema + "." + table
}

// rows runs a query whose columns are strings, and an INT64 if there is a fifth.
func (c catalog) rows(ctx context.Context, sql string, f func(row []string, number int64)) error {
	it := c.client.Single().Query(ctx, spanner.NewStatement(sql))
	defer it.Stop()
	for {
		row, err := it.Next()
		if err == iterator.Done {
			return nil
		}
		if err != nil {
			return changestream.Classify("look for the tables of", "change stream "+c.info.Stream, err)
		}
		if schema := row.ColumnValue(0).GetStringValue(); isSystem(schema) {
			continue
		}
		texts := make([]spanner.NullString, 4)
		var number spanner.NullInt64
		to := []any{&texts[0], &texts[1], &texts[2], &texts[3], &number}
		if err := row.Columns(to[:row.Size()]...); err != nil {
			return fmt.Errorf("read the information schema: %w", err)
		}
		f([]string{texts[0].StringVal, texts[1].StringVal, texts[2].StringVal, texts[3].StringVal}, number.Int64)
	}
}

func isSystem(schema string) bool {
	switch strings.ToLower(schema) {
	case "information_schema", "spanner_sys", "pg_catalog":
		return true
	}
	return false
}
