package sql

import (
	"math"
	"regexp"
	"strings"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

// logical is AND and OR over three values; and is false for OR.
func logical(and bool, left, right expr) (expr, error) {
	var err error
	if left, err = coerce(left, value.Bool); err == nil {
		right, err = coerce(right, value.Bool)
	}
	if err != nil {
		return expr{}, err
	}
	return expr{typ: value.Bool, free: left.free && right.free, eval: func(e *env) (any, error) {
		a, err := left.eval(e)
		if err != nil || a == !and {
			return a, err
		}
		b, err := right.eval(e)
		if err != nil || b == !and {
			return b, err
		}
		if a == nil || b == nil {
			return nil, nil
		}
		return and, nil
	}}, nil
}

func comparison(op ast.BinaryOp, left, right expr) (expr, error) {
	args, t, err := align(left, right)
	if err != nil {
		return expr{}, err
	}
	if t != nil && t.Code == jsonCode {
		return expr{}, invalid("%s is not defined for arguments of type JSON", op)
	}
	return expr{typ: value.Bool, free: left.free && right.free, eval: func(e *env) (any, error) {
		a, err := args[0].eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		b, err := args[1].eval(e)
		if err != nil || b == nil {
			return nil, err
		}
		if isNaN(a) || isNaN(b) {
			return op == ast.OpNotEqual, nil
		}
		return holds(op, value.Compare(a, b)), nil
	}}, nil
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

func holds(op ast.BinaryOp, order int) bool {
	switch op {
	case ast.OpEqual:
		return order == 0
	case ast.OpNotEqual:
		return order != 0
	case ast.OpLess:
		return order < 0
	case ast.OpGreater:
		return order > 0
	case ast.OpLessEqual:
		return order <= 0
	}
	return order >= 0
}

func (c *compiler) predicate(n ast.Expr, s *scope) (expr, error) {
	switch n := n.(type) {
	case *ast.IsNullExpr:
		e, err := c.expr(n.Left, s)
		return expr{typ: value.Bool, eval: func(at *env) (any, error) {
			v, err := e.eval(at)
			return (v == nil) != n.Not, err
		}}, err
	case *ast.IsBoolExpr:
		e, err := c.expr(n.Left, s)
		if err == nil {
			e, err = coerce(e, value.Bool)
		}
		return expr{typ: value.Bool, eval: func(at *env) (any, error) {
			v, err := e.eval(at)
			return (v == n.Right) != n.Not, err
		}}, err
	case *ast.BetweenExpr:
		low, err := c.expr(&ast.BinaryExpr{Op: ast.OpGreaterEqual, Left: n.Left, Right: n.RightStart}, s)
		if err != nil {
			return expr{}, err
		}
		high, err := c.expr(&ast.BinaryExpr{Op: ast.OpLessEqual, Left: n.Left, Right: n.RightEnd}, s)
		if err != nil {
			return expr{}, err
		}
		both, err := logical(true, low, high)
		return negated(both, n.Not), err
	case *ast.InExpr:
		return c.in(n, s)
	}
	return expr{}, unsupported("The predicate %T", n)
}

func negated(e expr, not bool) expr {
	if !not {
		return e
	}
	base := e.eval
	e.eval = func(at *env) (any, error) {
		v, err := base(at)
		if b, ok := v.(bool); ok {
			return !b, err
		}
		return v, err
	}
	return e
}

// in compiles x IN (…), IN UNNEST(…) and IN (subquery): all look for an equal
// value in a list.
func (c *compiler) in(n *ast.InExpr, s *scope) (expr, error) {
	left, err := c.expr(n.Left, s)
	if err != nil {
		return expr{}, err
	}
	var list expr
	switch right := n.Right.(type) {
	case *ast.ValuesInCondition:
		list, err = c.array(nil, right.Exprs, s)
	case *ast.UnnestInCondition:
		list, err = c.expr(right.Expr, s)
	case *ast.SubQueryInCondition:
		list, err = c.subqueryArray(right.Query, s)
	}
	if err != nil {
		return expr{}, err
	}
	if list.typ == nil {
		return constant(value.Bool, nil), nil
	}
	if list.typ.Code != arrayCode {
		return expr{}, invalid("IN UNNEST needs an ARRAY, not %s", list.typ)
	}
	t, err := commonType([]expr{left, {typ: list.typ.Elem, soft: list.soft}})
	if err != nil {
		return expr{}, err
	}
	if left, err = coerce(left, t); err != nil {
		return expr{}, err
	}
	return negated(expr{typ: value.Bool, eval: func(at *env) (any, error) {
		v, err := left.eval(at)
		if err != nil {
			return nil, err
		}
		all, err := list.eval(at)
		if err != nil {
			return nil, err
		}
		elements, _ := all.([]any)
		return contains(elements, v, t)
	}}, n.Not), nil
}

func contains(elements []any, v any, t *value.Type) (any, error) {
	if v == nil && len(elements) > 0 {
		return nil, nil
	}
	unknown := false
	for _, element := range elements {
		if element == nil {
			unknown = true
			continue
		}
		cast, err := Cast(element, t)
		if err != nil {
			return nil, err
		}
		if value.Compare(v, cast) == 0 {
			return true, nil
		}
	}
	if unknown {
		return nil, nil
	}
	return false, nil
}

func like(not bool, left, right expr) (expr, error) {
	e, err := fixed([]*value.Type{value.String, value.String}, value.Bool, []expr{left, right}, func(v []any) (any, error) {
		re, err := likePattern(v[1].(string))
		if err != nil {
			return nil, err
		}
		return re.MatchString(v[0].(string)), nil
	})
	return negated(e, not), err
}

func likePattern(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("(?s)^")
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped || r != '%' && r != '_' && r != '\\':
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteString(".")
		default:
			escaped = true
		}
	}
	if escaped {
		return nil, invalid("LIKE pattern ends with a backslash")
	}
	re, err := regexp.Compile(b.String() + "$")
	if err != nil {
		return nil, invalid("Invalid LIKE pattern")
	}
	return re, nil
}

func (c *compiler) conditional(n ast.Expr, s *scope) (expr, error) {
	var conditions, results []expr
	add := func(cond, result ast.Expr) error {
		e, err := c.expr(cond, s)
		if err == nil {
			e, err = coerce(e, value.Bool)
		}
		if err != nil {
			return err
		}
		r, err := c.expr(result, s)
		conditions, results = append(conditions, e), append(results, r)
		return err
	}
	last := literal(nil, nil)
	var err error
	switch n := n.(type) {
	case *ast.IfExpr:
		if err = add(n.Expr, n.TrueResult); err == nil {
			last, err = c.expr(n.ElseResult, s)
		}
	case *ast.CaseExpr:
		for _, when := range n.Whens {
			cond := when.Cond
			if n.Expr != nil {
				cond = &ast.BinaryExpr{Op: ast.OpEqual, Left: n.Expr, Right: cond}
			}
			if err = add(cond, when.Then); err != nil {
				return expr{}, err
			}
		}
		if n.Else != nil {
			last, err = c.expr(n.Else.Expr, s)
		}
	}
	if err != nil {
		return expr{}, err
	}
	return choose(conditions, append(results, last))
}

// choose gives the result of the first condition that holds, or the last one.
func choose(conditions, results []expr) (expr, error) {
	results, t, err := align(results...)
	if err != nil {
		return expr{}, err
	}
	return expr{typ: t, eval: func(e *env) (any, error) {
		for i, cond := range conditions {
			v, err := cond.eval(e)
			if err != nil {
				return nil, err
			}
			if v == true {
				return results[i].eval(e)
			}
		}
		return results[len(results)-1].eval(e)
	}}, nil
}
