package sql

import (
	"slices"
	"strings"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

// source is a compiled table expression. The env that it runs in has the rows
// of the tables to its left; lateral tells that it looks at them.
type source struct {
	columns []column
	lateral bool
	run     func(left *env, yield func(row []any) error) error
}

// table compiles a table expression. Conditions that the result must meet
// anyway narrow down which keys are read.
func (c *compiler) table(n ast.TableExpr, outer *scope, conditions []ast.Expr) (*source, error) {
	return c.tableIn(n, &scope{parent: outer}, conditions)
}

// tableIn is table with the scope of the tables to the left, whose parent is
// the scope of the queries around.
func (c *compiler) tableIn(n ast.TableExpr, left *scope, conditions []ast.Expr) (*source, error) {
	if c.depth++; c.depth > maxDepth {
		return nil, invalid("The query is nested too deeply.")
	}
	defer func() { c.depth-- }()
	switch n := n.(type) {
	case *ast.ParenTableExpr:
		return c.tableIn(n.Source, left, conditions)
	case *ast.TableName:
		if n.Sample != nil {
			return nil, unsupported("TABLESAMPLE")
		}
		return c.named(n, []string{n.Table.Name}, alias(n.As), left, conditions)
	case *ast.PathTableExpr:
		if n.Sample != nil || n.WithOffset != nil {
			return nil, unsupported("TABLESAMPLE and WITH OFFSET on a path")
		}
		return c.named(n, pathNames(n.Path), alias(n.As), left, conditions)
	case *ast.SubQueryTableExpr:
		p, err := c.query(n.Query, left.parent)
		if err != nil {
			return nil, err
		}
		return c.derived(p, alias(n.As)), nil
	case *ast.Unnest:
		return c.unnest(n, left)
	case *ast.Join:
		return c.join(n, left, conditions)
	case *ast.TVFCallExpr:
		return nil, invalid("Table-valued function not found: %s", clip(strings.Join(pathNames(n.Name), ".")))
	}
	return nil, unsupported("The table expression %s (%T)", clip(n.SQL()), n)
}

func alias(as *ast.AsAlias) string {
	if as == nil {
		return ""
	}
	return as.Alias.Name
}

// derived is a subquery in FROM; it sees the queries around, not its neighbours.
func (c *compiler) derived(p *plan, name string) *source {
	columns := slices.Clone(p.columns)
	for i := range columns {
		columns[i].table = name
	}
	return &source{columns: columns, run: func(left *env, yield func([]any) error) error { return p.run(left.parent, yield) }}
}

// named finds what a name in FROM stands for.
func (c *compiler) named(n ast.TableExpr, names []string, as string, left *scope, conditions []ast.Expr) (*source, error) {
	if as == "" {
		as = names[len(names)-1]
	}
	if len(names) == 1 {
		if p := c.with[strings.ToLower(names[0])]; p != nil {
			return c.derived(p, as), nil
		}
	}
	if len(names) == 2 && strings.EqualFold(names[0], "information_schema") {
		return c.information(names[1], as)
	}
	if t := c.schema.Table(strings.Join(names, ".")); t != nil {
		part := store.Range{}
		if n == c.whole {
			part = c.params.Part
		}
		return c.baseTable(t, as, part, left, conditions), nil
	}
	if len(names) > 1 {
		if e, err := c.name(names, left); err == nil && e.typ != nil && e.typ.Code == arrayCode {
			return c.elements(e, as, ""), nil
		}
	}
	return nil, invalid("Table not found: %s", clip(strings.Join(names, ".")))
}

func tableColumns(t *schema.Table, as string) []column {
	out := make([]column, len(t.Columns))
	for i, col := range t.Columns {
		out[i] = column{table: as, name: col.Name, typ: col.Type, hidden: col.Hidden || col.TokenList, schema: col}
	}
	return out
}

// baseTable reads a part of a table, only the keys with the prefix that
// conditions fix.
func (c *compiler) baseTable(t *schema.Table, as string, part store.Range, left *scope, conditions []ast.Expr) *source {
	columns := tableColumns(t, as)
	prefix := c.keyPrefix(t, columns, left, conditions)
	lateral := false
	for _, e := range prefix {
		lateral = lateral || !e.free
	}
	return &source{columns: columns, lateral: lateral, run: func(left *env, yield func([]any) error) error {
		from, to, none, err := span(t, prefix, left)
		if err != nil || none {
			return err
		}
		from, to, some := part.Clip(from, to)
		if !some {
			return nil
		}
		c.src.Scan(t, from, to, func(_ string, row []any) bool {
			out := make([]any, len(t.Columns))
			for i, col := range t.Columns {
				out[i] = row[col.Slot]
			}
			err = yield(out)
			return err == nil
		})
		return err
	}}
}

// span evaluates a key prefix; none tells that no key can equal it.
func span(t *schema.Table, prefix []expr, e *env) (from, to string, none bool, err error) {
	var key []byte
	for i, part := range prefix {
		v, err := part.eval(e)
		if err != nil || v == nil {
			return "", "", true, err
		}
		key = value.AppendKey(key, v, t.Key[i].Desc)
	}
	return string(key), value.PrefixEnd(string(key)), false, nil
}

// keyPrefix finds, for the first columns of a key, conditions of the form
// column = expression where the expression does not depend on the table.
func (c *compiler) keyPrefix(t *schema.Table, columns []column, left *scope, conditions []ast.Expr) []expr {
	var prefix []expr
	own := &scope{columns: columns}
	for _, key := range t.Key {
		found := false
		for _, condition := range conditions {
			b, ok := condition.(*ast.BinaryExpr)
			if !ok || b.Op != ast.OpEqual {
				continue
			}
			for _, sides := range [][2]ast.Expr{{b.Left, b.Right}, {b.Right, b.Left}} {
				if e, ok := c.fixes(key.Column, sides[0], sides[1], own, left); ok && !found {
					prefix, found = append(prefix, e), true
				}
			}
		}
		if !found {
			break
		}
	}
	return prefix
}

// fixes compiles the other side of an equality with a key column.
func (c *compiler) fixes(key *schema.Column, column, other ast.Expr, own, left *scope) (expr, bool) {
	names := columnNames(column)
	if names == nil {
		if s, ok := column.(*ast.SelectorExpr); ok {
			if id, ok := s.Expr.(*ast.Ident); ok {
				names = []string{id.Name, s.Ident.Name}
			}
		}
	}
	i, used, err := c.find(own, names0(names))
	if err != nil || used == 0 || used != len(names) || own.columns[i].schema != key {
		return expr{}, false
	}
	depends := false
	ast.Inspect(other, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			_, used, err := c.find(own, []string{n.Name})
			depends = depends || used > 0 || err != nil
		case *ast.Path:
			_, used, err := c.find(own, pathNames(n))
			depends = depends || used > 0 || err != nil || c.schema.Same(own.columns[0].table, n.Idents[0].Name)
		case ast.QueryExpr, *ast.CallExpr:
			depends = true
		}
		return !depends
	})
	if depends || len(own.columns) > 0 && mentions(other, own.columns[0].table) {
		return expr{}, false
	}
	e, err := c.expr(other, left)
	if err != nil {
		return expr{}, false
	}
	if e, err = coerce(e, key.Type); err != nil || e.typ == nil {
		return expr{}, false
	}
	return e, true
}

func names0(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

// mentions reports whether an expression names a table.
func mentions(n ast.Node, table string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && strings.EqualFold(id.Name, table) {
			found = true
		}
		return !found
	})
	return found
}

func (c *compiler) unnest(n *ast.Unnest, left *scope) (*source, error) {
	if n.Sample != nil {
		return nil, unsupported("TABLESAMPLE")
	}
	e, err := c.expr(n.Expr, left)
	if err != nil {
		return nil, err
	}
	if e.typ == nil || e.typ.Code != arrayCode {
		return nil, invalid("Values referenced in UNNEST must be arrays. UNNEST contains expression of type %s", e.typ)
	}
	offset := ""
	if n.WithOffset != nil {
		if offset = alias(n.WithOffset.As); offset == "" {
			offset = "offset"
		}
	}
	return c.elements(e, alias(n.As), offset), nil
}

// elements is an array as a table: its elements, or the fields of its structs.
func (c *compiler) elements(e expr, as, offset string) *source {
	elem := e.typ.Elem
	var columns []column
	isStruct := elem.Code == structCode
	if isStruct {
		for _, f := range elem.Fields {
			columns = append(columns, column{table: as, name: f.Name, typ: f.Type})
		}
	} else {
		columns = append(columns, column{name: as, typ: elem})
	}
	if offset != "" {
		columns = append(columns, column{name: offset, typ: value.Int64})
	}
	return &source{columns: columns, lateral: true, run: func(left *env, yield func([]any) error) error {
		v, err := e.eval(left)
		if err != nil {
			return err
		}
		list, _ := v.([]any)
		for i, element := range list {
			row := make([]any, 0, len(columns))
			if s, ok := element.(value.Struct); ok && isStruct {
				row = append(row, s...)
			} else if isStruct {
				row = append(row, make([]any, len(elem.Fields))...)
			} else {
				row = append(row, element)
			}
			if offset != "" {
				row = append(row, int64(i))
			}
			if err := yield(row); err != nil {
				return err
			}
		}
		return nil
	}}
}
