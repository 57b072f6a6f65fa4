package engine

import (
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// columnsOf finds the columns that a mutation or read names.
func columnsOf(sch *schema.Schema, table *schema.Table, names []string) ([]*schema.Column, error) {
	out := make([]*schema.Column, len(names))
	for i, name := range names {
		if out[i] = sch.Column(table, name); out[i] == nil {
			return nil, status.Errorf(codes.NotFound, "Column not found in table %s: %.200s", table.Name, name)
		}
		for _, other := range out[:i] {
			if other == out[i] {
				return nil, status.Errorf(codes.InvalidArgument, "Column %s is named more than once.", name)
			}
		}
	}
	return out, nil
}

func tableOf(sch *schema.Schema, name string) (*schema.Table, error) {
	table := sch.Table(name)
	if table == nil {
		return nil, status.Errorf(codes.NotFound, "Table not found: %.200s", name)
	}
	return table, nil
}

// apply carries out one mutation under the lock.
func (t *Txn) apply(m *sppb.Mutation) error {
	switch op := m.GetOperation().(type) {
	case *sppb.Mutation_Insert:
		return t.applyWrite(op.Insert, t.insertRow)
	case *sppb.Mutation_Update:
		return t.applyWrite(op.Update, t.updateRow)
	case *sppb.Mutation_InsertOrUpdate:
		return t.applyWrite(op.InsertOrUpdate, t.upsertRow)
	case *sppb.Mutation_Replace:
		return t.applyWrite(op.Replace, t.replaceRow)
	case *sppb.Mutation_Delete_:
		return t.applyDelete(op.Delete)
	case nil:
		return status.Error(codes.InvalidArgument, "A mutation without an operation.")
	}
	return status.Errorf(codes.Unimplemented, "Mutation %T is not supported by this emulator.", m.GetOperation())
}

// written is one row of a write mutation.
type written struct {
	table   *schema.Table
	columns []*schema.Column
	values  []any
	key     string
}

func (t *Txn) applyWrite(w *sppb.Mutation_Write, do func(written) error) error {
	table, err := tableOf(t.schema, w.GetTable())
	if err != nil {
		return err
	}
	columns, err := columnsOf(t.schema, table, w.GetColumns())
	if err != nil {
		return err
	}
	scratch := make([]any, table.Slots)
	for _, list := range w.GetValues() {
		if len(list.GetValues()) != len(columns) {
			return status.Errorf(codes.InvalidArgument, "Mutation of table %s has %d columns and a row of %d values.", table.Name, len(columns), len(list.GetValues()))
		}
		row := written{table: table, columns: columns, values: make([]any, len(columns))}
		clear(scratch)
		for i, p := range list.Values {
			v, err := value.FromProto(columns[i].Type, p)
			if err != nil {
				return status.Errorf(codes.FailedPrecondition, "Invalid value for column %s in table %s: %v.", columns[i].Name, table.Name, err)
			}
			if _, ok := v.(value.CommitTime); ok && columns[i].CommitTime {
				v = changes.Time(t.at)
			}
			row.values[i], scratch[columns[i].Slot] = v, v
		}
		row.key = string(table.AppendKey(nil, scratch))
		if err := do(row); err != nil {
			return err
		}
	}
	return nil
}

func (t *Txn) insertRow(w written) error {
	_, err := t.Insert(w.table, w.columns, w.values)
	return err
}

func (t *Txn) updateRow(w written) error {
	if err := wantKey(w); err != nil {
		return err
	}
	if t.named(w.table, w.key) {
		return status.Errorf(codes.InvalidArgument, "A row in table %s was deleted and then updated in the same transaction.", w.table.Name)
	}
	if t.get(w.table, w.key) == nil {
		return status.Errorf(codes.NotFound, "Row not found in table %s: the row to update is missing.", w.table.Name)
	}
	_, err := t.Update(w.table, w.key, w.columns, w.values)
	return err
}

func (t *Txn) upsertRow(w written) error {
	if wantKey(w) != nil || t.get(w.table, w.key) == nil {
		return t.insertRow(w)
	}
	t.unname(w.table, w.key)
	return t.updateRow(w)
}

// replaceRow leaves a row named that was: as in Google's emulator only INSERT
// and INSERT_OR_UPDATE make it one that can be updated again.
func (t *Txn) replaceRow(w written) error {
	named := wantKey(w) == nil && t.named(w.table, w.key)
	if wantKey(w) == nil {
		if err := t.drop(w.table, w.key); err != nil {
			return err
		}
	}
	if err := t.insertRow(w); err != nil {
		return err
	}
	if named {
		t.name(w.table, w.key)
	}
	return nil
}

// wantKey checks that a mutation names all key columns.
func wantKey(w written) error {
	for _, part := range w.table.Key {
		found := part.Column.Generated != nil
		for _, c := range w.columns {
			found = found || c == part.Column
		}
		if !found {
			return status.Errorf(codes.FailedPrecondition, "Mutation of table %s does not specify the key column %s.", w.table.Name, part.Column.Name)
		}
	}
	return nil
}

func (t *Txn) applyDelete(d *sppb.Mutation_Delete) error {
	table, err := tableOf(t.schema, d.GetTable())
	if err != nil {
		return err
	}
	spans, err := keySpans(table.Key, d.GetKeySet())
	if err != nil {
		return err
	}
	for _, s := range spans {
		if s.point {
			if err := t.Delete(table, s.from); err != nil {
				return err
			}
			continue
		}
		var keys []string
		t.Scan(table, s.from, s.to, func(key string, _ []any) bool {
			keys = append(keys, key)
			return true
		})
		t.nameRange(tableSpan{table.ID, s.from, s.to})
		for _, key := range keys {
			if err := t.drop(table, key); err != nil {
				return err
			}
		}
	}
	return nil
}
