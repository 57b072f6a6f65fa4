package sql

import (
	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
)

// edit is an UPDATE or DELETE: what it is about, and what it does with a row.
type edit struct {
	table   *ast.Path
	as      *ast.AsAlias
	where   *ast.Where
	then    *ast.ThenReturn
	action  string
	prepare func(t *schema.Table, s *scope) error
	do      func(t *schema.Table, m match) (visible []any, err error)
}

// edit compiles an UPDATE or DELETE and, unless plan is set, executes it.
func (c *compiler) edit(e edit, plan bool) (*Result, error) {
	t, rows, s, err := c.matching(e.table, alias(e.as), e.where)
	if err != nil {
		return nil, err
	}
	if err := e.prepare(t, s); err != nil {
		return nil, err
	}
	ret, err := c.thenReturn(e.then, s)
	if err != nil || plan {
		return ret.result(0), err
	}
	found, err := rows()
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		row, err := e.do(t, m)
		if err != nil {
			return nil, err
		}
		if err := ret.add(&env{row: row}, e.action); err != nil {
			return nil, err
		}
	}
	return ret.result(int64(len(found))), nil
}

func (c *compiler) delete(n *ast.Delete, plan bool) (*Result, error) {
	return c.edit(edit{table: n.TableName, as: n.As, where: n.Where, then: n.ThenReturn, action: "DELETE",
		prepare: func(*schema.Table, *scope) error { return nil },
		do:      func(t *schema.Table, m match) ([]any, error) { return m.row, c.src.Delete(t, m.key) },
	}, plan)
}

// match is a row that a WHERE clause found.
type match struct {
	key string
	row []any // as visible
}

// matching compiles the WHERE of UPDATE and DELETE. The rows are collected
// before any of them is written.
func (c *compiler) matching(path *ast.Path, as string, where *ast.Where) (*schema.Table, func() ([]match, error), *scope, error) {
	t, err := c.target(path)
	if err != nil {
		return nil, nil, nil, err
	}
	if as == "" {
		as = t.Name
	}
	if where == nil {
		return nil, nil, nil, invalid("UPDATE and DELETE must have a WHERE clause")
	}
	s := &scope{columns: tableColumns(t, as)}
	filter, err := c.condition(where.Expr, s)
	if err != nil {
		return nil, nil, nil, err
	}
	prefix := c.keyPrefix(t, s.columns, &scope{}, conjuncts(where.Expr, nil))
	return t, func() ([]match, error) {
		from, to, none, err := span(t, prefix, &env{})
		if err != nil || none {
			return nil, err
		}
		var out []match
		c.src.Scan(t, from, to, func(key string, row []any) bool {
			m := match{key, visible(t, row)}
			var ok any
			if ok, err = filter.eval(&env{row: m.row}); err == nil && ok == true {
				out = append(out, m)
			}
			if err == nil {
				err = c.run.tick()
			}
			return err == nil
		})
		return out, err
	}, s, nil
}

// assignment is one column = expression.
type assignment struct {
	column *schema.Column
	expr   expr
}

func (c *compiler) assignments(t *schema.Table, items []ast.UpdateItem, s *scope) ([]assignment, error) {
	var out []assignment
	for _, item := range items {
		set, ok := item.(*ast.UpdateItemSetValue)
		if !ok {
			return nil, unsupported("Nested DML in UPDATE")
		}
		name := set.Path[len(set.Path)-1].Name
		col := c.schema.Column(t, name)
		if col == nil {
			return nil, invalid("Column %s is not present in table %s", clip(name), t.Name)
		}
		e, err := c.columnValue(t, col, set.DefaultExpr, s)
		if err != nil {
			return nil, err
		}
		out = append(out, assignment{col, e})
	}
	return out, nil
}

// columnValue compiles what is written into a column, DEFAULT included.
func (c *compiler) columnValue(t *schema.Table, col *schema.Column, n *ast.DefaultExpr, s *scope) (expr, error) {
	if col.Generated != nil {
		if n.Default {
			return expr{}, nil
		}
		return expr{}, invalid("Cannot write into generated column %s.%s", t.Name, col.Name)
	}
	if n.Default {
		return expr{typ: col.Type, eval: func(*env) (any, error) {
			if col.Default == nil {
				return nil, nil
			}
			return col.Default(nil)
		}}, nil
	}
	e, err := c.expr(n.Expr, s)
	if err != nil {
		return expr{}, err
	}
	e, err = c.storable(e, col)
	if err != nil {
		return expr{}, invalid("Value has type %s which cannot be assigned to column %s of table %s with type %s", e.typ, col.Name, t.Name, col.Type)
	}
	return e, nil
}

// storable converts an expression to a column's type by assignment rules; in
// PostgreSQL a number is rounded for an integer column, in GoogleSQL refused.
func (c *compiler) storable(e expr, col *schema.Column) (expr, error) {
	if out, err := coerce(e, col.Type); err == nil {
		return out, nil
	}
	if e.typ != nil && e.typ.IsNumber() && col.Type.IsNumber() && e.soft && c.schema.Dialect == schema.PostgreSQL {
		base := e.eval
		return expr{typ: col.Type, eval: func(at *env) (any, error) {
			v, err := base(at)
			if err != nil || v == nil {
				return nil, err
			}
			return Cast(v, col.Type)
		}}, nil
	}
	return e, invalid("type")
}

func (c *compiler) update(n *ast.Update, plan bool) (*Result, error) {
	var sets []assignment
	return c.edit(edit{table: n.TableName, as: n.As, where: n.Where, then: n.ThenReturn, action: "UPDATE",
		prepare: func(t *schema.Table, s *scope) (err error) {
			sets, err = c.assignments(t, n.Updates, s)
			return err
		},
		do: func(t *schema.Table, m match) ([]any, error) {
			row, err := c.set(t, m.key, sets, &env{row: m.row})
			if err != nil {
				return nil, err
			}
			return visible(t, row), nil
		},
	}, plan)
}

// set evaluates assignments on a row and writes them.
func (c *compiler) set(t *schema.Table, key string, sets []assignment, e *env) ([]any, error) {
	var columns []*schema.Column
	var values []any
	for _, a := range sets {
		if a.expr.eval == nil {
			continue
		}
		v, err := a.expr.eval(e)
		if err != nil {
			return nil, err
		}
		if a.column.IsKey {
			return nil, invalid("Cannot UPDATE value on primary key column %s", a.column.Name)
		}
		columns, values = append(columns, a.column), append(values, v)
	}
	return c.src.Update(t, key, columns, values)
}
