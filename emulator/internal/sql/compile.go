package sql

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// run is one execution of a statement.
type run struct {
	ctx   context.Context
	now   time.Time
	steps int
}

// tick notices now and then that the caller has gone.
func (r *run) tick() error {
	if r.steps++; r.steps%1024 == 0 && r.ctx != nil {
		return r.ctx.Err()
	}
	return nil
}

// compiler turns the syntax tree into closures.
type compiler struct {
	src    Source
	schema *schema.Schema
	params Params
	run    *run
	with   map[string]*plan
	depth  int
	whole  ast.TableExpr // the table of which only params.Part is read; nil: none
}

// env is the rows that an expression sees: its own query's, and those of the
// queries around it.
type env struct {
	row    []any
	aggs   []any
	parent *env
}

// expr is a compiled expression. A nil type is that of a bare NULL. A soft
// expression is a literal or untyped parameter that takes the type of its
// surroundings.
type expr struct {
	typ  *value.Type
	eval func(*env) (any, error)
	soft bool
	free bool // reads no row
}

// column is one column in reach of an expression.
type column struct {
	table  string // alias
	name   string
	typ    *value.Type
	hidden bool // not part of *
	schema *schema.Column
}

// scope is the columns of one query and of those around it.
type scope struct {
	parent  *scope
	columns []column
	groups  *grouping // set while the result of an aggregation is compiled
}

const maxDepth = 2000

func constant(t *value.Type, v any) expr {
	return expr{typ: t, free: true, eval: func(*env) (any, error) { return v, nil }}
}

func literal(t *value.Type, v any) expr {
	e := constant(t, v)
	e.soft = true
	return e
}

// expr compiles an expression.
func (c *compiler) expr(n ast.Expr, s *scope) (expr, error) {
	if c.depth++; c.depth > maxDepth {
		return expr{}, invalid("The expression is nested too deeply.")
	}
	defer func() { c.depth-- }()
	if s != nil && s.groups != nil {
		if e, done, err := s.groups.lookup(c, n, s); done || err != nil {
			return e, err
		}
	}
	switch n := n.(type) {
	case *ast.ParenExpr:
		return c.expr(n.Expr, s)
	case *ast.NullLiteral, *ast.BoolLiteral, *ast.IntLiteral, *ast.FloatLiteral, *ast.StringLiteral, *ast.BytesLiteral,
		*ast.DateLiteral, *ast.TimestampLiteral, *ast.NumericLiteral, *ast.JSONLiteral:
		return c.literal(n)
	case *ast.Param:
		return c.param(n.Name)
	case *ast.Ident:
		return c.name([]string{n.Name}, s)
	case *ast.Path:
		return c.name(pathNames(n), s)
	case *ast.SelectorExpr:
		return c.selector(n, s)
	case *ast.BinaryExpr:
		return c.binary(n, s)
	case *ast.UnaryExpr:
		return c.unary(n, s)
	case *ast.InExpr, *ast.IsNullExpr, *ast.IsBoolExpr, *ast.BetweenExpr:
		return c.predicate(n, s)
	case *ast.CaseExpr, *ast.IfExpr:
		return c.conditional(n, s)
	case *ast.CastExpr:
		return c.castExpr(n, s)
	case *ast.CallExpr, *ast.CountStarExpr, *ast.ExtractExpr:
		return c.callExpr(n, s)
	case *ast.IndexExpr, *ast.ArrayLiteral, *ast.TupleStructLiteral, *ast.TypedStructLiteral, *ast.TypelessStructLiteral:
		return c.composite(n, s)
	case *ast.ScalarSubQuery, *ast.ArraySubQuery, *ast.ExistsSubQuery:
		return c.subquery(n, s)
	}
	return expr{}, unsupported("The expression %s (%T)", clip(n.SQL()), n)
}

func clip(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

func pathNames(p *ast.Path) []string {
	var out []string
	for _, ident := range p.Idents {
		out = append(out, ident.Name)
	}
	return out
}

func (c *compiler) literal(n ast.Expr) (expr, error) {
	typed := func(t *value.Type, text string) (expr, error) {
		v, err := castText(t, text)
		if err != nil {
			return expr{}, invalid("Invalid %s literal: %v", t, err)
		}
		return constant(t, v), nil
	}
	switch n := n.(type) {
	case *ast.NullLiteral:
		return literal(nil, nil), nil
	case *ast.BoolLiteral:
		return constant(value.Bool, n.Value), nil
	case *ast.IntLiteral:
		v, err := strconv.ParseInt(n.Value, 0, 64)
		if err != nil {
			return expr{}, invalid("Invalid INT64 literal: %s", clip(n.Value))
		}
		return literal(value.Int64, v), nil
	case *ast.FloatLiteral:
		v, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return expr{}, invalid("Invalid FLOAT64 literal: %s", clip(n.Value))
		}
		return literal(value.Float64, v), nil
	case *ast.StringLiteral:
		if !utf8.ValidString(n.Value) {
			return expr{}, invalid("A STRING literal must be valid UTF-8")
		}
		return literal(value.String, n.Value), nil
	case *ast.BytesLiteral:
		return constant(value.BytesType, value.Bytes(n.Value)), nil
	case *ast.DateLiteral:
		return typed(value.DateType, n.Value.Value)
	case *ast.TimestampLiteral:
		return typed(value.Timestamp, n.Value.Value)
	case *ast.NumericLiteral:
		return typed(c.schema.Dialect.Type(value.Numeric), n.Value.Value)
	case *ast.JSONLiteral:
		return typed(c.schema.Dialect.Type(value.JSONType), n.Value.Value)
	}
	return expr{}, unsupported("The literal %s", clip(n.SQL()))
}

// param compiles a query parameter. One without a declared type is soft: its
// JSON form says what it may be.
func (c *compiler) param(name string) (expr, error) {
	key, found := findParam(c.params.Values.GetFields(), name)
	declared, typed := findParam(c.params.Types, name)
	if typed {
		t := value.FromTypeProto(c.params.Types[declared])
		if t == nil {
			return expr{}, unsupported("A parameter of type %s", c.params.Types[declared].GetCode())
		}
		if !found {
			return constant(t, nil), nil
		}
		v, err := value.FromProto(t, c.params.Values.Fields[key])
		if err != nil {
			return expr{}, invalid("Invalid value for bind parameter %s: %v", name, err)
		}
		return constant(t, v), nil
	}
	if !found {
		return expr{}, invalid("No parameter found for binding: %s", name)
	}
	return softParam(c.params.Values.Fields[key]), nil
}

// findParam finds a parameter whatever the case of its name.
func findParam[T any](in map[string]T, name string) (string, bool) {
	if _, ok := in[name]; ok {
		return name, true
	}
	for key := range in {
		if strings.EqualFold(key, name) {
			return key, true
		}
	}
	return "", false
}

func softParam(p *structpb.Value) expr {
	switch k := p.GetKind().(type) {
	case *structpb.Value_StringValue:
		return literal(value.String, k.StringValue)
	case *structpb.Value_NumberValue:
		return literal(value.Float64, k.NumberValue)
	case *structpb.Value_BoolValue:
		return constant(value.Bool, k.BoolValue)
	case *structpb.Value_ListValue:
		list := make([]any, len(k.ListValue.GetValues()))
		elem := value.String
		for i, v := range k.ListValue.GetValues() {
			e := softParam(v)
			list[i], _ = e.eval(nil)
			if e.typ != nil {
				elem = e.typ
			}
		}
		return literal(value.ArrayOf(elem), list)
	}
	return literal(nil, nil)
}

// name resolves a column, or a field of one.
func (c *compiler) name(names []string, s *scope) (expr, error) {
	level := 0
	for at := s; at != nil; at, level = at.parent, level+1 {
		i, used, err := c.find(at, names)
		if err != nil {
			return expr{}, err
		}
		if used == 0 {
			continue
		}
		if at.groups != nil {
			return at.groups.column(i, at, level, names)
		}
		e := columnExpr(at.columns[i].typ, i, level)
		return c.fields(e, names[used:])
	}
	if s != nil {
		if e, ok := c.wholeRow(names, s); ok {
			return e, nil
		}
	}
	return expr{}, invalid("Unrecognized name: %s", clip(strings.Join(names, ".")))
}

func columnExpr(t *value.Type, i, level int) expr {
	return expr{typ: t, eval: func(e *env) (any, error) {
		for range level {
			e = e.parent
		}
		return e.row[i], nil
	}}
}

// find looks for a column in one scope; used is how many names it took.
func (c *compiler) find(s *scope, names []string) (index, used int, err error) {
	for i, column := range s.columns {
		n := 0
		if len(names) > 1 && c.schema.Same(column.table, names[0]) && c.schema.Same(column.name, names[1]) {
			n = 2
		} else if c.schema.Same(column.name, names[0]) && column.name != "" {
			n = 1
		}
		if n == 0 || n < used || n == 1 && column.hidden {
			continue
		}
		if n == used {
			return 0, 0, invalid("Column name %s is ambiguous", clip(strings.Join(names[:n], ".")))
		}
		index, used = i, n
	}
	return index, used, nil
}

// wholeRow is a table's alias used as a value: a STRUCT of its columns.
func (c *compiler) wholeRow(names []string, s *scope) (expr, bool) {
	if len(names) != 1 {
		return expr{}, false
	}
	t := &value.Type{Code: structCode}
	var slots []int
	for i, column := range s.columns {
		if c.schema.Same(column.table, names[0]) && !column.hidden {
			t.Fields = append(t.Fields, value.Field{Name: column.name, Type: column.typ})
			slots = append(slots, i)
		}
	}
	return expr{typ: t, eval: func(e *env) (any, error) {
		out := make(value.Struct, len(slots))
		for i, slot := range slots {
			out[i] = e.row[slot]
		}
		return out, nil
	}}, len(slots) > 0
}

func (c *compiler) selector(n *ast.SelectorExpr, s *scope) (expr, error) {
	base, err := c.expr(n.Expr, s)
	if err != nil {
		return expr{}, err
	}
	return c.fields(base, []string{n.Ident.Name})
}

// fields takes fields of STRUCTs, or members of JSON objects.
func (c *compiler) fields(e expr, names []string) (expr, error) {
	for _, name := range names {
		base := e
		if e.typ != nil && e.typ.Code == jsonCode {
			e = expr{typ: e.typ, eval: func(at *env) (any, error) {
				v, err := base.eval(at)
				if err != nil || v == nil {
					return nil, err
				}
				return jsonMember(v.(value.JSON), name), nil
			}}
			continue
		}
		index := -1
		if e.typ != nil && e.typ.Code == structCode {
			for i, f := range e.typ.Fields {
				if strings.EqualFold(f.Name, name) {
					index = i
				}
			}
		}
		if index < 0 {
			return expr{}, invalid("Cannot access field %s on a value with type %s", clip(name), e.typ)
		}
		e = expr{typ: e.typ.Fields[index].Type, eval: func(at *env) (any, error) {
			v, err := base.eval(at)
			if err != nil || v == nil {
				return nil, err
			}
			return v.(value.Struct)[index], nil
		}}
	}
	return e, nil
}

func decodeBase64(s string) (value.Bytes, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, invalid("Failed to decode invalid base64 string")
	}
	return b, nil
}
