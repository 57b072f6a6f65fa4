package sql

import (
	"slices"
	"strings"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// plan is a compiled query: it pushes rows of its columns to yield.
type plan struct {
	columns []column
	run     func(outer *env, yield func(row []any) error) error
}

func (p *plan) fields() []value.Field {
	out := make([]value.Field, len(p.columns))
	for i, c := range p.columns {
		t := c.typ
		if t == nil {
			t = value.Int64
		}
		out[i] = value.Field{Name: c.name, Type: t}
	}
	return out
}

// query compiles a query expression.
func (c *compiler) query(q ast.QueryExpr, outer *scope) (*plan, error) {
	if c.depth++; c.depth > maxDepth {
		return nil, invalid("The query is nested too deeply.")
	}
	defer func() { c.depth-- }()
	switch q := q.(type) {
	case *ast.Query:
		return c.fullQuery(q, outer)
	case *ast.SubQuery:
		return c.query(q.Query, outer)
	case *ast.Select:
		return c.selectQuery(q, nil, outer)
	case *ast.CompoundQuery:
		return c.compound(q, outer)
	}
	return nil, unsupported("The query %s (%T)", clip(q.SQL()), q)
}

func (c *compiler) fullQuery(q *ast.Query, outer *scope) (p *plan, err error) {
	if len(q.PipeOperators) > 0 {
		return nil, unsupported("Pipe syntax")
	}
	if q.With != nil {
		before := c.with
		defer func() { c.with = before }()
		c.with = map[string]*plan{}
		for name, p := range before {
			c.with[name] = p
		}
		for _, cte := range q.With.CTEs {
			p, err := c.query(cte.QueryExpr, outer)
			if err != nil {
				return nil, err
			}
			c.with[strings.ToLower(cte.Name.Name)] = p
		}
	}
	if s, ok := q.Query.(*ast.Select); ok {
		p, err = c.selectQuery(s, q.OrderBy, outer)
	} else if p, err = c.query(q.Query, outer); err == nil && q.OrderBy != nil {
		p, err = c.orderOutput(p, q.OrderBy, outer)
	}
	if err != nil || q.Limit == nil {
		return p, err
	}
	return c.limit(p, q.Limit, outer)
}

func (c *compiler) limit(p *plan, l *ast.Limit, outer *scope) (*plan, error) {
	count, err := c.intValue(l.Count, outer)
	if err != nil {
		return nil, err
	}
	offset := constant(value.Int64, int64(0))
	if l.Offset != nil {
		if offset, err = c.intValue(l.Offset.Value, outer); err != nil {
			return nil, err
		}
	}
	return &plan{columns: p.columns, run: func(e *env, yield func([]any) error) error {
		n, err := count.eval(e)
		if err != nil {
			return err
		}
		skip, err := offset.eval(e)
		if err != nil {
			return err
		}
		left, _ := n.(int64)
		ahead, _ := skip.(int64)
		if n == nil || skip == nil || left < 0 || ahead < 0 {
			return invalid("LIMIT and OFFSET must not be negative or NULL")
		}
		if left == 0 {
			return nil
		}
		var below error // what the receiver of the rows says, told apart from our own stop
		err = p.run(e, func(row []any) error {
			if ahead > 0 {
				ahead--
				return nil
			}
			if below = yield(row); below != nil {
				return errStop
			}
			if left--; left == 0 {
				return errStop
			}
			return nil
		})
		if below != nil {
			return below
		}
		return ignoreStop(err)
	}}, nil
}

func (c *compiler) compound(q *ast.CompoundQuery, outer *scope) (*plan, error) {
	var parts []*plan
	for _, n := range q.Queries {
		p, err := c.query(n, outer)
		if err != nil {
			return nil, err
		}
		if len(parts) > 0 && len(p.columns) != len(parts[0].columns) {
			return nil, invalid("Queries in %s have mismatched column count", q.Op)
		}
		parts = append(parts, p)
	}
	columns, casts, err := unify(parts)
	if err != nil {
		return nil, err
	}
	all := func(e *env, i int, yield func([]any) error) error {
		return parts[i].run(e, func(row []any) error {
			out, err := castRow(row, casts[i], columns)
			if err != nil {
				return err
			}
			return yield(out)
		})
	}
	if q.Op == ast.SetOpUnion && q.AllOrDistinct == ast.AllOrDistinctAll {
		return &plan{columns: columns, run: func(e *env, yield func([]any) error) error {
			for i := range parts {
				if err := all(e, i, yield); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	}
	return &plan{columns: columns, run: func(e *env, yield func([]any) error) error {
		return setOperation(q, len(parts), func(i int, each func([]any) error) error { return all(e, i, each) }, yield)
	}}, nil
}

// unify finds the common column types of the parts of a set operation.
func unify(parts []*plan) ([]column, [][]bool, error) {
	columns := slices.Clone(parts[0].columns)
	casts := make([][]bool, len(parts))
	for i := range columns {
		var sides []expr
		for _, p := range parts {
			sides = append(sides, expr{typ: p.columns[i].typ})
		}
		t, err := commonType(sides)
		if err != nil {
			return nil, nil, err
		}
		columns[i].typ = t
		for j, p := range parts {
			casts[j] = append(casts[j], t != nil && p.columns[i].typ != nil && !p.columns[i].typ.Same(t))
		}
	}
	return columns, casts, nil
}

func castRow(row []any, casts []bool, columns []column) ([]any, error) {
	if !slices.Contains(casts, true) {
		return row, nil
	}
	out := slices.Clone(row)
	for i, cast := range casts {
		if cast && out[i] != nil {
			v, err := Cast(out[i], columns[i].typ)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
	}
	return out, nil
}

// setOperation is UNION DISTINCT, INTERSECT and EXCEPT, with multiplicities
// for the ALL forms.
func setOperation(q *ast.CompoundQuery, parts int, run func(int, func([]any) error) error, yield func([]any) error) error {
	counts := map[string]int{}
	var order [][]any
	collect := func(row []any) error {
		key := rowKey(row)
		if counts[key] == 0 || q.AllOrDistinct == ast.AllOrDistinctAll {
			order = append(order, row)
		}
		counts[key]++
		return nil
	}
	if err := run(0, collect); err != nil {
		return err
	}
	for i := 1; i < parts; i++ {
		if q.Op == ast.SetOpUnion {
			if err := run(i, collect); err != nil {
				return err
			}
			continue
		}
		other := map[string]int{}
		if err := run(i, func(row []any) error {
			other[rowKey(row)]++
			return nil
		}); err != nil {
			return err
		}
		order = slices.DeleteFunc(order, func(row []any) bool {
			key := rowKey(row)
			has := other[key] > 0
			if q.AllOrDistinct == ast.AllOrDistinctAll && has {
				other[key]--
			}
			return has == (q.Op == ast.SetOpExcept)
		})
	}
	for _, row := range order {
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// rowKey is a row as a text that equal rows share.
func rowKey(row []any) string {
	var key []byte
	for _, v := range row {
		switch v := v.(type) {
		case []any:
			key = append(append(key, '['), rowKey(v)...)
		case value.Struct:
			key = append(append(key, '('), rowKey(v)...)
		case value.JSON:
			key = value.AppendKey(key, string(v), false)
		default:
			key = value.AppendKey(key, v, false)
		}
	}
	return string(key)
}

// orderOutput sorts a query by its own columns.
func (c *compiler) orderOutput(p *plan, order *ast.OrderBy, outer *scope) (*plan, error) {
	s := &scope{parent: outer, columns: p.columns}
	keys, err := c.sortKeys(order, p.columns, s)
	if err != nil {
		return nil, err
	}
	return &plan{columns: p.columns, run: func(e *env, yield func([]any) error) error {
		return sorted(keys, func(each func(env, []any) error) error {
			return p.run(e, func(row []any) error { return each(env{row: row, parent: e}, row) })
		}, yield)
	}}, nil
}

// sortKey is one item of ORDER BY.
type sortKey struct {
	expr   expr
	output int // index of an output column instead, if not negative
	desc   bool
	last   bool // NULL comes after all others, as PostgreSQL has it
}

// sortKeys compiles ORDER BY: ordinals and aliases name output columns, other
// expressions are evaluated in the given scope.
func (c *compiler) sortKeys(order *ast.OrderBy, output []column, s *scope) ([]sortKey, error) {
	var keys []sortKey
	for _, item := range order.Items {
		key := sortKey{output: -1, last: c.schema.Dialect == schema.PostgreSQL, desc: item.Dir == ast.DirectionDesc}
		if item.Collate != nil {
			return nil, unsupported("COLLATE")
		}
		if n, ok := item.Expr.(*ast.IntLiteral); ok {
			e, err := c.literal(n)
			if err != nil {
				return nil, err
			}
			v, _ := e.eval(nil)
			if i, _ := v.(int64); i >= 1 && i <= int64(len(output)) {
				key.output = int(i) - 1
			} else {
				return nil, invalid("ORDER BY column number item is out of range")
			}
		} else if id, ok := item.Expr.(*ast.Ident); ok {
			key.output = slices.IndexFunc(output, func(o column) bool { return strings.EqualFold(o.name, id.Name) })
		}
		if key.output < 0 {
			e, err := c.expr(item.Expr, s)
			if err != nil {
				return nil, err
			}
			key.expr = e
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sorted collects rows with the values to sort by and yields them in order.
func sorted(keys []sortKey, run func(each func(e env, out []any) error) error, yield func([]any) error) error {
	type item struct{ by, row []any }
	var items []item
	err := run(func(e env, out []any) error {
		by := make([]any, len(keys))
		for i, key := range keys {
			if key.output >= 0 {
				by[i] = out[key.output]
				continue
			}
			v, err := key.expr.eval(&e)
			if err != nil {
				return err
			}
			by[i] = v
		}
		items = append(items, item{by, out})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(items, func(a, b item) int {
		for i, key := range keys {
			if order := value.Compare(a.by[i], b.by[i]); order != 0 {
				if key.desc != (key.last && (a.by[i] == nil || b.by[i] == nil)) {
					return -order
				}
				return order
			}
		}
		return 0
	})
	for _, it := range items {
		if err := yield(it.row); err != nil {
			return err
		}
	}
	return nil
}
