package sql

import (
	"slices"
	"strings"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// composite compiles arrays, structs and what takes them apart.
func (c *compiler) composite(n ast.Expr, s *scope) (expr, error) {
	switch n := n.(type) {
	case *ast.ArrayLiteral:
		return c.array(n.Type, n.Values, s)
	case *ast.TupleStructLiteral:
		return c.structOf(nil, n.Values, s)
	case *ast.TypedStructLiteral:
		t, err := c.astType(&ast.StructType{Fields: n.Fields})
		if err != nil {
			return expr{}, err
		}
		return c.structOf(t, n.Values, s)
	case *ast.TypelessStructLiteral:
		t := &value.Type{Code: structCode}
		var values []ast.Expr
		for _, arg := range n.Values {
			switch arg := arg.(type) {
			case *ast.Alias:
				values = append(values, arg.Expr)
				t.Fields = append(t.Fields, value.Field{Name: arg.As.Alias.Name})
			case *ast.ExprArg:
				values = append(values, arg.Expr)
				t.Fields = append(t.Fields, value.Field{Name: exprName(arg.Expr)})
			}
		}
		return c.structOf(t, values, s)
	case *ast.IndexExpr:
		return c.index(n, s)
	}
	return expr{}, unsupported("The expression %T", n)
}

// array compiles an array literal; its elements take one common type.
func (c *compiler) array(typ ast.Type, values []ast.Expr, s *scope) (expr, error) {
	elements, err := c.exprs(values, s)
	if err != nil {
		return expr{}, err
	}
	elements, t, err := align(elements...)
	if err != nil {
		return expr{}, err
	}
	soft := true
	for _, e := range elements {
		soft = soft && e.soft
	}
	if typ != nil {
		if t, err = c.astType(typ); err != nil {
			return expr{}, err
		}
		if at, ok := typ.(*ast.ArrayType); ok && t.Code == arrayCode {
			if t, err = c.astType(at.Item); err != nil {
				return expr{}, err
			}
		}
		soft = false
		for i := range elements {
			if elements[i], err = coerce(elements[i], t); err != nil {
				return expr{}, err
			}
		}
	}
	if t == nil && len(elements) == 0 {
		t = emptyElement
	} else if t == nil {
		t = value.Int64
	}
	if t.Code == arrayCode {
		return expr{}, invalid("Cannot construct array with element type %s because nested arrays are not supported", t)
	}
	free := !slices.ContainsFunc(elements, func(e expr) bool { return !e.free })
	return expr{typ: value.ArrayOf(t), soft: soft, free: free, eval: evalList(elements)}, nil
}

func evalList(elements []expr) func(*env) (any, error) {
	return func(e *env) (any, error) {
		out := make([]any, len(elements))
		for i, element := range elements {
			v, err := element.eval(e)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	}
}

func (c *compiler) structOf(t *value.Type, values []ast.Expr, s *scope) (expr, error) {
	elements, err := c.exprs(values, s)
	if err != nil {
		return expr{}, err
	}
	if t == nil {
		t = &value.Type{Code: structCode, Fields: make([]value.Field, len(elements))}
	}
	if len(t.Fields) != len(elements) {
		return expr{}, invalid("STRUCT has %d fields and %d values", len(t.Fields), len(elements))
	}
	for i, e := range elements {
		switch {
		case t.Fields[i].Type != nil:
			if elements[i], err = coerce(e, t.Fields[i].Type); err != nil {
				return expr{}, err
			}
		case e.typ == nil:
			t.Fields[i].Type = value.Int64
		default:
			t.Fields[i].Type = e.typ
		}
	}
	list := evalList(elements)
	return expr{typ: t, eval: func(e *env) (any, error) {
		v, err := list(e)
		if err != nil {
			return nil, err
		}
		return value.Struct(v.([]any)), nil
	}}, nil
}

// index compiles array[OFFSET(n)] and its kin, and json[…].
func (c *compiler) index(n *ast.IndexExpr, s *scope) (expr, error) {
	base, err := c.expr(n.Expr, s)
	if err != nil {
		return expr{}, err
	}
	position, from, safe := ast.Expr(nil), int64(0), false
	switch i := n.Index.(type) {
	case *ast.SubscriptSpecifierKeyword:
		position = i.Expr
		safe = i.Keyword == ast.PositionKeywordSafeOffset || i.Keyword == ast.PositionKeywordSafeOrdinal
		if i.Keyword == ast.PositionKeywordOrdinal || i.Keyword == ast.PositionKeywordSafeOrdinal {
			from = 1
		}
	case *ast.ExprArg:
		position = i.Expr
	default:
		return expr{}, unsupported("The subscript %s", clip(n.SQL()))
	}
	at, err := c.expr(position, s)
	if err != nil {
		return expr{}, err
	}
	if base.typ != nil && base.typ.Code == jsonCode {
		return jsonIndex(base, at), nil
	}
	if base.typ == nil || base.typ.Code != arrayCode {
		return expr{}, invalid("Element access is not defined for a value of type %s", base.typ)
	}
	return fixed([]*value.Type{base.typ, value.Int64}, base.typ.Elem, []expr{base, at}, func(v []any) (any, error) {
		list, i := v[0].([]any), v[1].(int64)-from
		if i < 0 || i >= int64(len(list)) {
			if safe {
				return nil, nil
			}
			return nil, outOfRange("Array index is out of bounds")
		}
		return list[i], nil
	})
}

func (c *compiler) subquery(n ast.Expr, s *scope) (expr, error) {
	switch n := n.(type) {
	case *ast.ArraySubQuery:
		return c.subqueryArray(n.Query, s)
	case *ast.ExistsSubQuery:
		p, err := c.query(n.Query, s)
		return expr{typ: value.Bool, eval: func(e *env) (any, error) {
			found := false
			err := p.run(e, func([]any) error {
				found = true
				return errStop
			})
			return found, ignoreStop(err)
		}}, err
	case *ast.ScalarSubQuery:
		p, err := c.query(n.Query, s)
		if err != nil {
			return expr{}, err
		}
		if len(p.columns) != 1 {
			return expr{}, invalid("Scalar subquery cannot have more than one column unless using SELECT AS STRUCT to build STRUCT values")
		}
		return expr{typ: p.columns[0].typ, eval: func(e *env) (any, error) {
			var out any
			rows := 0
			err := p.run(e, func(row []any) error {
				if rows++; rows > 1 {
					return outOfRange("Scalar subquery produced more than one element")
				}
				out = row[0]
				return nil
			})
			return out, ignoreStop(err)
		}}, nil
	}
	return expr{}, unsupported("The subquery %T", n)
}

// subqueryArray is a subquery of one column as an array.
func (c *compiler) subqueryArray(q ast.QueryExpr, s *scope) (expr, error) {
	p, err := c.query(q, s)
	if err != nil {
		return expr{}, err
	}
	if len(p.columns) != 1 {
		return expr{}, invalid("The subquery must have one column")
	}
	return expr{typ: value.ArrayOf(p.columns[0].typ), eval: func(e *env) (any, error) {
		out := []any{}
		err := p.run(e, func(row []any) error {
			out = append(out, row[0])
			return nil
		})
		return out, ignoreStop(err)
	}}, nil
}

// exprName is the name that a column without alias gets: in GoogleSQL often
// none, in PostgreSQL that of the function, as it is called in GoogleSQL.
func (c *compiler) exprName(n ast.Expr) string {
	if name := exprName(n); name != "" || c.schema.Dialect == schema.GoogleSQL {
		return name
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		return strings.ToLower(n.Func.Idents[len(n.Func.Idents)-1].Name)
	case *ast.CountStarExpr:
		return "count"
	case *ast.CaseExpr:
		return "case"
	case *ast.ExistsSubQuery:
		return "exists"
	}
	return "?column?"
}

func exprName(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.Path:
		return n.Idents[len(n.Idents)-1].Name
	case *ast.SelectorExpr:
		return n.Ident.Name
	}
	return ""
}
