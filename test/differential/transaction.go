package differential

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
)

// transaction is a generated transaction: DML first, then mutations, as the
// API runs them.
type transaction struct {
	dml       []spanner.Statement
	mutations []*spanner.Mutation
	text      []string // what it does, for the report of a difference
}

func newTransaction(r *rand.Rand, l *layout) *transaction {
	t := &transaction{}
	for range 1 + r.IntN(4) {
		target := l.tables[r.IntN(len(l.tables))]
		if r.IntN(4) == 0 {
			t.addDML(r, l, target)
		} else {
			t.addMutation(r, l, target)
		}
	}
	return t
}

// assign picks columns and values: all keys, and some of the others or all, but
// at least one: Google's emulator records updates of keys alone under NEW_ROW.
func assign(r *rand.Rand, l *layout, t *table, all bool) (names []string, values []any) {
	some := false
	for i, c := range t.columns {
		last := !some && !slices.ContainsFunc(t.columns[i+1:], func(c column) bool { return !c.generated })
		if c.generated || !c.key && !all && !last && r.IntN(2) == 0 {
			continue
		}
		some = some || !c.key
		names = append(names, c.name)
		values = append(values, value(r, c.typ, l.pg(), c.key))
	}
	return names, values
}

func (t *transaction) addMutation(r *rand.Rand, l *layout, target *table) {
	names, values := assign(r, l, target, false)
	kind := []string{"insert", "update", "update", "upsert", "upsert", "upsert", "upsert", "upsert", "replace", "delete", "delete", "delete range"}[r.IntN(12)]
	t.text = append(t.text, fmt.Sprintf("%s %s %v %v", kind, target.name, names, values))
	switch kind {
	case "insert":
		t.mutations = append(t.mutations, spanner.Insert(target.name, names, values))
	case "update":
		t.mutations = append(t.mutations, spanner.Update(target.name, names, values))
	case "upsert":
		t.mutations = append(t.mutations, spanner.InsertOrUpdate(target.name, names, values))
	case "replace":
		t.mutations = append(t.mutations, spanner.Replace(target.name, names, values))
	default:
		var key spanner.Key
		for i, name := range names {
			if target.column(name).key {
				key = append(key, values[i])
			}
		}
		var set spanner.KeySet = key
		if kind == "delete range" {
			set = spanner.KeyRange{Start: key[:1], End: key[:1], Kind: spanner.ClosedClosed}
		}
		t.mutations = append(t.mutations, spanner.Delete(target.name, set))
	}
}

func (t *table) column(name string) column {
	for _, c := range t.columns {
		if c.name == name {
			return c
		}
	}
	return column{}
}

// addDML adds an INSERT, an UPDATE that assigns every column, because Google's
// emulator records all of them anyway, or a DELETE.
func (t *transaction) addDML(r *rand.Rand, l *layout, target *table) {
	names, values := assign(r, l, target, true)
	params := map[string]any{}
	bind := func(i int) string {
		params[fmt.Sprintf("p%d", i+1)] = values[i]
		if l.pg() {
			return fmt.Sprintf("$%d", i+1)
		}
		return fmt.Sprintf("@p%d", i+1)
	}
	var columns, holders, sets, where []string
	for i, name := range names {
		columns = append(columns, l.quote(name))
		if target.column(name).key {
			where = append(where, l.quote(name)+" = "+bind(i))
		}
	}
	kind := r.IntN(3)
	for i, name := range names {
		if kind == 0 {
			holders = append(holders, bind(i))
		} else if kind == 1 && !target.column(name).key {
			sets = append(sets, l.quote(name)+" = "+bind(i))
		}
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", l.quote(target.name), strings.Join(columns, ", "), strings.Join(holders, ", "))
	switch kind {
	case 1:
		sql = fmt.Sprintf("UPDATE %s SET %s WHERE %s", l.quote(target.name), strings.Join(sets, ", "), strings.Join(where, " AND "))
	case 2:
		sql = fmt.Sprintf("DELETE FROM %s WHERE %s", l.quote(target.name), strings.Join(where, " AND "))
	}
	t.text = append(t.text, fmt.Sprintf("%s %v", sql, values))
	t.dml = append(t.dml, spanner.Statement{SQL: sql, Params: params})
}

// run executes the transaction on one server.
func (t *transaction) run(ctx context.Context, client *spanner.Client) (time.Time, error) {
	if len(t.dml) == 0 {
		return client.Apply(ctx, t.mutations)
	}
	return client.ReadWriteTransaction(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		for _, statement := range t.dml {
			if _, err := tx.Update(ctx, statement); err != nil {
				return err
			}
		}
		return tx.BufferWrite(t.mutations)
	})
}
