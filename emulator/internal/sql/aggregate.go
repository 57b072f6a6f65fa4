package sql

import (
	"strings"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

// grouping compiles the result of an aggregation: expressions equal to a
// grouping key read the key, aggregate calls are collected and read their
// result, and columns may be used only below one of the two.
type grouping struct {
	input *scope // of the rows that are grouped
	keys  []ast.Expr
	exprs []expr
	texts map[string]int // of keys, by their SQL
	slots map[int]int    // key that is just a column of the input
	calls []aggregate
	seen  map[string]int
}

// aggregate is one aggregate call.
type aggregate struct {
	arg      expr
	typ      *value.Type
	distinct bool
	make     func() accumulator
}

// accumulator takes the values of a group's rows.
type accumulator interface {
	add(v any) error
	result() (any, error)
}

func isAggregate(name string) bool {
	switch name {
	case "COUNT", "SUM", "AVG", "MIN", "MAX", "COUNTIF", "ARRAY_AGG", "STRING_AGG", "ANY_VALUE", "LOGICAL_AND", "LOGICAL_OR", "BOOL_AND", "BOOL_OR":
		return true
	}
	return false
}

// hasAggregate reports whether an expression calls an aggregate function
// outside of subqueries.
func hasAggregate(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ScalarSubQuery, *ast.ArraySubQuery, *ast.ExistsSubQuery, *ast.SubQueryInCondition:
			return false
		case *ast.CountStarExpr:
			found = true
		case *ast.CallExpr:
			found = found || isAggregate(strings.ToUpper(strings.Join(pathNames(n.Func), ".")))
		}
		return !found
	})
	return found
}

func (c *compiler) newGrouping(keys []ast.Expr, input *scope) (*grouping, error) {
	g := &grouping{input: input, keys: keys, texts: map[string]int{}, slots: map[int]int{}, seen: map[string]int{}}
	for i, key := range keys {
		e, err := c.expr(key, input)
		if err != nil {
			return nil, err
		}
		g.exprs = append(g.exprs, e)
		g.texts[key.SQL()] = i
		if names := columnNames(key); names != nil {
			if slot, used, err := c.find(input, names); err == nil && used == len(names) {
				g.slots[slot] = i
			}
		}
	}
	return g, nil
}

func columnNames(n ast.Expr) []string {
	switch n := n.(type) {
	case *ast.Ident:
		return []string{n.Name}
	case *ast.Path:
		return pathNames(n)
	}
	return nil
}

// lookup finds an expression among keys and aggregates.
func (g *grouping) lookup(c *compiler, n ast.Expr, s *scope) (expr, bool, error) {
	if i, ok := g.texts[n.SQL()]; ok {
		return columnExpr(g.exprs[i].typ, i, 0), true, nil
	}
	call, ok := n.(*ast.CallExpr)
	name := "COUNT"
	if ok {
		name = strings.ToUpper(strings.Join(pathNames(call.Func), "."))
	}
	if _, star := n.(*ast.CountStarExpr); !star && (!ok || !isAggregate(name)) {
		return expr{}, false, nil
	}
	i, ok := g.seen[n.SQL()]
	if !ok {
		a, err := c.aggregate(name, call, g.input)
		if err != nil {
			return expr{}, true, err
		}
		i = len(g.calls)
		g.calls = append(g.calls, a)
		g.seen[n.SQL()] = i
	}
	return expr{typ: g.calls[i].typ, eval: func(e *env) (any, error) { return e.aggs[i], nil }}, true, nil
}

// column resolves a column of the input, which must be a key.
func (g *grouping) column(i int, s *scope, level int, names []string) (expr, error) {
	key, ok := g.slots[i]
	if !ok {
		return expr{}, invalid("Column %s which is neither grouped nor aggregated is used", clip(strings.Join(names, ".")))
	}
	return columnExpr(g.exprs[key].typ, key, level), nil
}

// aggregate compiles an aggregate call; call is nil for COUNT(*).
func (c *compiler) aggregate(name string, call *ast.CallExpr, s *scope) (aggregate, error) {
	if call == nil {
		return aggregate{arg: constant(value.Int64, int64(1)), typ: value.Int64, make: func() accumulator { return &counter{} }}, nil
	}
	if len(call.Args) == 0 || call.Having != nil || call.OrderBy != nil || call.Limit != nil {
		return aggregate{}, unsupported("%s with HAVING, ORDER BY, LIMIT or without argument", name)
	}
	arg, err := c.plain(call.Args[0], s)
	if err != nil {
		return aggregate{}, err
	}
	a := aggregate{arg: arg, distinct: call.Distinct, typ: arg.typ}
	if a.typ == nil {
		a.typ = value.Int64
	}
	_, skipNulls := call.NullHandling.(*ast.IgnoreNulls)
	switch name {
	case "COUNT":
		a.typ, a.make = value.Int64, func() accumulator { return &counter{} }
	case "COUNTIF":
		a.typ, a.make = value.Int64, func() accumulator { return &counter{onlyTrue: true} }
	case "SUM", "AVG":
		return numberAggregate(name == "AVG", a)
	case "MIN", "MAX":
		a.make = func() accumulator { return &best{max: name == "MAX"} }
	case "ANY_VALUE":
		a.make = func() accumulator { return &first{} }
	case "LOGICAL_AND", "LOGICAL_OR", "BOOL_AND", "BOOL_OR":
		a.make = func() accumulator { return &best{max: strings.HasSuffix(name, "OR")} }
	case "ARRAY_AGG":
		t := value.ArrayOf(a.typ)
		a.typ, a.make = t, func() accumulator { return &list{skipNulls: skipNulls} }
	case "STRING_AGG":
		separator, err := c.separator(call, s)
		if err != nil {
			return a, err
		}
		a.make = func() accumulator { return &joined{separator: separator} }
	}
	return a, nil
}

func (c *compiler) separator(call *ast.CallExpr, s *scope) (string, error) {
	if len(call.Args) < 2 {
		return ",", nil
	}
	e, err := c.argument(call.Args[1], value.String, s)
	if err != nil {
		return "", err
	}
	if !e.free {
		return "", unsupported("STRING_AGG with a separator that is not constant")
	}
	v, err := e.eval(nil)
	if err != nil {
		return "", err
	}
	return value.Text(v), nil
}

func numberAggregate(average bool, a aggregate) (aggregate, error) {
	if !a.typ.IsNumber() {
		return a, invalid("No matching signature for aggregate function on %s", a.typ)
	}
	if a.typ.Code == sppb.TypeCode_FLOAT32 || average && a.typ.Code == sppb.TypeCode_INT64 {
		var err error
		a.arg.soft = false
		if a.arg, err = coerce(a.arg, value.Float64); err != nil {
			return a, err
		}
		a.typ = value.Float64
	}
	t := a.typ
	a.make = func() accumulator { return &sum{typ: t, average: average} }
	return a, nil
}

type counter struct {
	n        int64
	onlyTrue bool
}

func (c *counter) add(v any) error {
	if v != nil && (!c.onlyTrue || v == true) {
		c.n++
	}
	return nil
}

func (c *counter) result() (any, error) { return c.n, nil }

type sum struct {
	typ     *value.Type
	total   any
	n       int64
	average bool
}

func (s *sum) add(v any) (err error) {
	if v == nil {
		return nil
	}
	if s.n++; s.total == nil {
		s.total = v
		return nil
	}
	s.total, err = compute("+", s.typ, s.total, v)
	return err
}

func (s *sum) result() (any, error) {
	if !s.average || s.total == nil {
		return s.total, nil
	}
	n, err := Cast(s.n, s.typ)
	if err != nil {
		return nil, err
	}
	return compute("/", s.typ, s.total, n)
}

type best struct {
	v   any
	max bool
}

func (b *best) add(v any) error {
	if v == nil {
		return nil
	}
	if order := value.Compare(v, b.v); b.v == nil || b.max && order > 0 || !b.max && order < 0 {
		b.v = v
	}
	return nil
}

func (b *best) result() (any, error) { return b.v, nil }

type first struct {
	v   any
	set bool
}

func (f *first) add(v any) error {
	if !f.set {
		f.v, f.set = v, true
	}
	return nil
}

func (f *first) result() (any, error) { return f.v, nil }

type list struct {
	out       []any
	skipNulls bool
}

func (l *list) add(v any) error {
	if v != nil || !l.skipNulls {
		l.out = append(l.out, v)
	}
	return nil
}

func (l *list) result() (any, error) {
	if l.out == nil {
		return nil, nil
	}
	return l.out, nil
}

type joined struct {
	parts     []string
	separator string
}

func (j *joined) add(v any) error {
	if v != nil {
		j.parts = append(j.parts, value.Text(v))
	}
	return nil
}

func (j *joined) result() (any, error) {
	if j.parts == nil {
		return nil, nil
	}
	return strings.Join(j.parts, j.separator), nil
}
