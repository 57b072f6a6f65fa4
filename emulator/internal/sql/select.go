package sql

import (
	"slices"
	"strconv"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

// output is one column that a SELECT makes.
type output struct {
	column column
	expr   expr
}

// selectQuery compiles one SELECT with the ORDER BY that follows it.
func (c *compiler) selectQuery(q *ast.Select, order *ast.OrderBy, outer *scope) (*plan, error) {
	from, s, err := c.from(q, outer)
	if err != nil {
		return nil, err
	}
	rows := from.run
	if q.GroupBy != nil || q.Having != nil || slices.ContainsFunc(q.Results, func(n ast.SelectItem) bool { return hasAggregate(n) }) {
		if rows, s, err = c.group(q, from, s); err != nil {
			return nil, err
		}
	}
	outputs, err := c.outputs(q.Results, s)
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(outputs))
	for i, o := range outputs {
		columns[i] = o.column
	}
	var keys []sortKey
	if order != nil {
		if keys, err = c.sortKeys(order, columns, s); err != nil {
			return nil, err
		}
	}
	having := constant(value.Bool, true)
	if q.Having != nil {
		if having, err = c.condition(q.Having.Expr, s); err != nil {
			return nil, err
		}
	}
	p := &plan{columns: columns, run: c.project(rows, having, outputs, keys, q.AllOrDistinct == ast.AllOrDistinctDistinct)}
	return asValue(p, q.As)
}

// stream is the rows that expressions of a SELECT are evaluated on.
type stream func(outer *env, each func(*env) error) error

// project evaluates the outputs of each row, drops duplicates and sorts.
func (c *compiler) project(rows stream, having expr, outputs []output, keys []sortKey, distinct bool) func(*env, func([]any) error) error {
	return func(outer *env, yield func([]any) error) error {
		seen := map[string]bool{}
		produce := func(each func(env, []any) error) error {
			return rows(outer, func(e *env) error {
				if err := c.run.tick(); err != nil {
					return err
				}
				if ok, err := having.eval(e); err != nil || ok != true {
					return err
				}
				out := make([]any, len(outputs))
				for i, o := range outputs {
					v, err := o.expr.eval(e)
					if err != nil {
						return err
					}
					out[i] = v
				}
				if distinct {
					key := rowKey(out)
					if seen[key] {
						return nil
					}
					seen[key] = true
				}
				return each(*e, out)
			})
		}
		if len(keys) > 0 {
			return sorted(keys, produce, yield)
		}
		return produce(func(_ env, out []any) error { return yield(out) })
	}
}

// asValue turns SELECT AS STRUCT and AS VALUE into one column.
func asValue(p *plan, as ast.SelectAs) (*plan, error) {
	switch as.(type) {
	case nil:
		return p, nil
	case *ast.AsValue:
		if len(p.columns) != 1 {
			return nil, invalid("SELECT AS VALUE query must have exactly one column")
		}
		return p, nil
	case *ast.AsStruct:
		t := &value.Type{Code: structCode, Fields: p.fields()}
		return &plan{columns: []column{{typ: t}}, run: func(e *env, yield func([]any) error) error {
			return p.run(e, func(row []any) error { return yield([]any{value.Struct(row)}) })
		}}, nil
	}
	return nil, unsupported("SELECT AS a named type")
}

// condition compiles a WHERE, HAVING or ON.
func (c *compiler) condition(n ast.Expr, s *scope) (expr, error) {
	e, err := c.expr(n, s)
	if err != nil {
		return expr{}, err
	}
	return coerce(e, value.Bool)
}

// from compiles FROM and WHERE.
func (c *compiler) from(q *ast.Select, outer *scope) (struct{ run stream }, *scope, error) {
	var out struct{ run stream }
	if q.From == nil {
		if q.Where != nil {
			return out, nil, invalid("Query without FROM clause cannot have a WHERE clause")
		}
		out.run = func(outer *env, each func(*env) error) error { return each(&env{parent: outer}) }
		return out, &scope{parent: outer}, nil
	}
	var where []ast.Expr
	if q.Where != nil {
		where = conjuncts(q.Where.Expr, nil)
	}
	source, err := c.table(q.From.Source, outer, where)
	if err != nil {
		return out, nil, err
	}
	s := &scope{parent: outer, columns: source.columns}
	filter := constant(value.Bool, true)
	if q.Where != nil {
		if hasAggregate(q.Where) {
			return out, nil, invalid("Aggregate function is not allowed in WHERE clause")
		}
		if filter, err = c.condition(q.Where.Expr, s); err != nil {
			return out, nil, err
		}
	}
	out.run = func(outer *env, each func(*env) error) error {
		e := &env{parent: outer}
		return source.run(e, func(row []any) error {
			at := &env{row: row, parent: outer}
			if err := c.run.tick(); err != nil {
				return err
			}
			if ok, err := filter.eval(at); err != nil || ok != true {
				return err
			}
			return each(at)
		})
	}
	return out, s, nil
}

// conjuncts splits a condition at its ANDs.
func conjuncts(n ast.Expr, out []ast.Expr) []ast.Expr {
	switch e := n.(type) {
	case *ast.ParenExpr:
		return conjuncts(e.Expr, out)
	case *ast.BinaryExpr:
		if e.Op == ast.OpAnd {
			return conjuncts(e.Right, conjuncts(e.Left, out))
		}
	}
	return append(out, n)
}

// outputs compiles the select list.
func (c *compiler) outputs(items []ast.SelectItem, s *scope) ([]output, error) {
	var out []output
	for _, item := range items {
		switch item := item.(type) {
		case *ast.Star:
			if item.Replace != nil {
				return nil, unsupported("SELECT * REPLACE")
			}
			if s.groups != nil {
				return nil, invalid("SELECT * cannot be used with GROUP BY")
			}
			out = append(out, c.star(s, "", item.Except)...)
		case *ast.DotStar:
			more, err := c.dotStar(item, s)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case *ast.Alias:
			e, err := c.expr(item.Expr, s)
			if err != nil {
				return nil, err
			}
			out = append(out, output{column{name: item.As.Alias.Name, typ: e.typ}, e})
		case *ast.ExprSelectItem:
			e, err := c.expr(item.Expr, s)
			if err != nil {
				return nil, err
			}
			out = append(out, output{column{name: c.exprName(item.Expr), typ: e.typ}, e})
		}
	}
	if len(out) == 0 {
		return nil, invalid("SELECT list must not be empty")
	}
	return out, nil
}

// star is all columns, or those of one table.
func (c *compiler) star(s *scope, table string, except *ast.StarModifierExcept) []output {
	var out []output
	for i, col := range s.columns {
		if col.hidden || table != "" && !c.schema.Same(col.table, table) {
			continue
		}
		if except != nil && slices.ContainsFunc(except.Columns, func(id *ast.Ident) bool { return c.schema.Same(id.Name, col.name) }) {
			continue
		}
		out = append(out, output{column{name: col.name, typ: col.typ}, columnExpr(col.typ, i, 0)})
	}
	return out
}

func (c *compiler) dotStar(item *ast.DotStar, s *scope) ([]output, error) {
	if item.Replace != nil {
		return nil, unsupported("SELECT * REPLACE")
	}
	if id, ok := item.Expr.(*ast.Ident); ok {
		if out := c.star(s, id.Name, item.Except); len(out) > 0 && s.groups == nil {
			return out, nil
		}
	}
	e, err := c.expr(item.Expr, s)
	if err != nil {
		return nil, err
	}
	if e.typ == nil || e.typ.Code != structCode {
		return nil, invalid("Dot-star is not supported for type %s", e.typ)
	}
	var out []output
	for _, f := range e.typ.Fields {
		field, err := c.fields(e, []string{f.Name})
		if err != nil {
			return nil, err
		}
		out = append(out, output{column{name: f.Name, typ: f.Type}, field})
	}
	return out, nil
}

// group compiles GROUP BY: what follows sees a row of keys and the aggregates.
func (c *compiler) group(q *ast.Select, from struct{ run stream }, input *scope) (stream, *scope, error) {
	var keys []ast.Expr
	if q.GroupBy != nil {
		for _, key := range q.GroupBy.Exprs {
			keys = append(keys, groupKey(key, q.Results))
		}
	}
	g, err := c.newGrouping(keys, input)
	if err != nil {
		return nil, nil, err
	}
	s := &scope{parent: input.parent, columns: input.columns, groups: g}
	return func(outer *env, each func(*env) error) error {
		groups, order := map[string]*group{}, []*group(nil)
		if len(keys) == 0 {
			order = append(order, g.start(nil))
		}
		err := from.run(outer, func(e *env) error {
			current := (*group)(nil)
			if len(keys) == 0 {
				current = order[0]
			} else {
				row, err := g.key(e)
				if err != nil {
					return err
				}
				text := rowKey(row)
				if current = groups[text]; current == nil {
					current = g.start(row)
					groups[text] = current
					order = append(order, current)
				}
			}
			return current.add(g, e)
		})
		if err != nil {
			return err
		}
		for _, gr := range order {
			at := &env{row: gr.keys, aggs: make([]any, len(g.calls)), parent: outer}
			for i, a := range gr.accumulators {
				if at.aggs[i], err = a.result(); err != nil {
					return err
				}
			}
			if err := each(at); err != nil {
				return err
			}
		}
		return nil
	}, s, nil
}

// groupKey replaces an ordinal or alias in GROUP BY by what it names.
func groupKey(key ast.Expr, items []ast.SelectItem) ast.Expr {
	if n, ok := key.(*ast.IntLiteral); ok {
		if i, err := strconv.Atoi(n.Value); err == nil && i >= 1 && i <= len(items) {
			switch item := items[i-1].(type) {
			case *ast.Alias:
				return item.Expr
			case *ast.ExprSelectItem:
				return item.Expr
			}
		}
	}
	if id, ok := key.(*ast.Ident); ok {
		for _, item := range items {
			if alias, ok := item.(*ast.Alias); ok && alias.As.Alias.Name == id.Name {
				return alias.Expr
			}
		}
	}
	return key
}

// group is one group while it is filled.
type group struct {
	keys         []any
	accumulators []accumulator
	seen         []map[string]bool // of DISTINCT aggregates
}

func (g *grouping) start(keys []any) *group {
	out := &group{keys: keys, seen: make([]map[string]bool, len(g.calls))}
	for _, a := range g.calls {
		out.accumulators = append(out.accumulators, a.make())
	}
	return out
}

func (g *grouping) key(e *env) ([]any, error) {
	row := make([]any, len(g.exprs))
	for i, key := range g.exprs {
		v, err := key.eval(e)
		if err != nil {
			return nil, err
		}
		row[i] = v
	}
	return row, nil
}

func (gr *group) add(g *grouping, e *env) error {
	for i, a := range g.calls {
		v, err := a.arg.eval(e)
		if err != nil {
			return err
		}
		if a.distinct {
			if gr.seen[i] == nil {
				gr.seen[i] = map[string]bool{}
			}
			key := rowKey([]any{v})
			if gr.seen[i][key] {
				continue
			}
			gr.seen[i][key] = true
		}
		if err := gr.accumulators[i].add(v); err != nil {
			return err
		}
	}
	return nil
}
