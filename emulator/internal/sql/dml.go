package sql

import (
	"strings"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// dml compiles and, unless plan is set, executes a DML statement.
func (c *compiler) dml(statement ast.Statement, plan bool) (*Result, error) {
	switch s := statement.(type) {
	case *ast.Insert:
		return c.insert(s, plan)
	case *ast.Update:
		return c.update(s, plan)
	case *ast.Delete:
		return c.delete(s, plan)
	}
	return nil, unsupported("The statement %T", statement)
}

func (c *compiler) target(path *ast.Path) (*schema.Table, error) {
	name := strings.Join(pathNames(path), ".")
	t := c.schema.Table(name)
	if t == nil {
		return nil, invalid("Table not found: %s", clip(name))
	}
	return t, nil
}

// returning is a compiled THEN RETURN.
type returning struct {
	outputs []output
	action  bool
	rows    [][]any
}

func (c *compiler) thenReturn(n *ast.ThenReturn, s *scope) (*returning, error) {
	if n == nil {
		return nil, nil
	}
	outputs, err := c.outputs(n.Items, s)
	if err != nil {
		return nil, err
	}
	r := &returning{outputs: outputs}
	if n.WithAction != nil {
		name := alias(n.WithAction.Alias)
		if name == "" {
			name = "ACTION"
		}
		r.action = true
		r.outputs = append(r.outputs, output{column: column{name: name, typ: value.String}})
	}
	return r, nil
}

// add remembers what to return of one row.
func (r *returning) add(e *env, action string) error {
	if r == nil {
		return nil
	}
	row := make([]any, len(r.outputs))
	for i, o := range r.outputs {
		if r.action && i == len(r.outputs)-1 {
			row[i] = action
			continue
		}
		v, err := o.expr.eval(e)
		if err != nil {
			return err
		}
		row[i] = v
	}
	r.rows = append(r.rows, row)
	return nil
}

// result makes the result of a DML statement.
func (r *returning) result(count int64) *Result {
	out := &Result{DML: true, Count: count, Rows: func(func([]any) error) error { return nil }}
	if r == nil {
		return out
	}
	for _, o := range r.outputs {
		t := o.column.typ
		if t == nil {
			t = value.Int64
		}
		out.Columns = append(out.Columns, value.Field{Name: o.column.name, Type: t})
	}
	out.Rows = func(each func([]any) error) error {
		for _, row := range r.rows {
			if err := each(row); err != nil {
				return err
			}
		}
		return nil
	}
	return out
}

// visible is a stored row as expressions see it: columns in table order.
func visible(t *schema.Table, row []any) []any {
	out := make([]any, len(t.Columns))
	for i, col := range t.Columns {
		out[i] = row[col.Slot]
	}
	return out
}
