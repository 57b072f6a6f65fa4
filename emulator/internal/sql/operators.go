package sql

import (
	"math"
	"math/big"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

const (
	structCode = sppb.TypeCode_STRUCT
	arrayCode  = sppb.TypeCode_ARRAY
	jsonCode   = sppb.TypeCode_JSON
)

func outOfRange(what string) error { return status.Error(codes.OutOfRange, what) }

// exprs compiles several expressions.
func (c *compiler) exprs(list []ast.Expr, s *scope) ([]expr, error) {
	out := make([]expr, len(list))
	for i, n := range list {
		e, err := c.expr(n, s)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

func isInt(e expr) bool { return e.typ != nil && e.typ.Code == sppb.TypeCode_INT64 }

func (c *compiler) binary(n *ast.BinaryExpr, s *scope) (expr, error) {
	args, err := c.exprs([]ast.Expr{n.Left, n.Right}, s)
	if err != nil {
		return expr{}, err
	}
	left, right := args[0], args[1]
	switch n.Op {
	case ast.OpAnd, ast.OpOr:
		return logical(n.Op == ast.OpAnd, left, right)
	case ast.OpEqual, ast.OpNotEqual, ast.OpLess, ast.OpGreater, ast.OpLessEqual, ast.OpGreaterEqual:
		return comparison(n.Op, left, right)
	case ast.OpAdd, ast.OpSub, ast.OpMul, ast.OpDiv:
		if n.Op == ast.OpDiv && c.schema.Dialect == schema.PostgreSQL && isInt(left) && isInt(right) {
			return numberFunction("DIV")(c, args)
		}
		return arithmetic(string(n.Op), left, right)
	case ast.OpConcat:
		return concat([]expr{left, right})
	case ast.OpLike, ast.OpNotLike:
		return like(n.Op == ast.OpNotLike, left, right)
	case ast.OpBitOr, ast.OpBitXor, ast.OpBitAnd, ast.OpBitLeftShift, ast.OpBitRightShift:
		return fixed([]*value.Type{value.Int64, value.Int64}, value.Int64, args, func(v []any) (any, error) {
			return bitwise(n.Op, v[0].(int64), v[1].(int64))
		})
	}
	return expr{}, unsupported("The operator %s", n.Op)
}

func bitwise(op ast.BinaryOp, a, b int64) (any, error) {
	switch op {
	case ast.OpBitOr:
		return a | b, nil
	case ast.OpBitXor:
		return a ^ b, nil
	case ast.OpBitAnd:
		return a & b, nil
	}
	if b < 0 {
		return nil, outOfRange("Bitwise shift by a negative number")
	}
	if op == ast.OpBitLeftShift {
		return a << uint64(b), nil
	}
	return int64(uint64(a) >> uint64(b)), nil
}

func arithmetic(op string, left, right expr) (expr, error) {
	args, t, err := align(left, right)
	if err != nil {
		return expr{}, err
	}
	if t == nil {
		t = value.Int64
	}
	if t.Code == sppb.TypeCode_FLOAT32 || op == "/" && t.Code == sppb.TypeCode_INT64 {
		t = value.Float64
		for i := range args {
			if args[i], err = coerce(args[i], t); err != nil {
				return expr{}, err
			}
		}
	}
	if !t.IsNumber() {
		return expr{}, invalid("No matching signature for operator %s for argument types: %s", op, t)
	}
	return fixed([]*value.Type{t, t}, t, args, func(v []any) (any, error) { return compute(op, t, v[0], v[1]) })
}

func compute(op string, t *value.Type, a, b any) (any, error) {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return computeInt(op, a, b)
		}
	case *big.Rat:
		if b, ok := b.(*big.Rat); ok {
			return computeRat(op, t, a, b)
		}
	}
	x, y := value.FloatOf(a), value.FloatOf(b)
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	}
	if y == 0 {
		return nil, outOfRange("division by zero")
	}
	return x / y, nil
}

func computeInt(op string, a, b int64) (any, error) {
	x, y := big.NewInt(a), big.NewInt(b)
	switch op {
	case "+":
		x.Add(x, y)
	case "-":
		x.Sub(x, y)
	default:
		x.Mul(x, y)
	}
	if !x.IsInt64() {
		return nil, outOfRange("int64 overflow")
	}
	return x.Int64(), nil
}

func computeRat(op string, t *value.Type, a, b *big.Rat) (any, error) {
	out := new(big.Rat)
	switch op {
	case "+":
		out.Add(a, b)
	case "-":
		out.Sub(a, b)
	case "*":
		out.Mul(a, b)
	default:
		if b.Sign() == 0 {
			return nil, outOfRange("division by zero")
		}
		out.Quo(a, b)
	}
	v, err := value.CheckNumeric(t, out)
	if err != nil {
		return nil, outOfRange(err.Error())
	}
	return v, nil
}

func (c *compiler) unary(n *ast.UnaryExpr, s *scope) (expr, error) {
	e, err := c.expr(n.Expr, s)
	if err != nil {
		return expr{}, err
	}
	switch n.Op {
	case ast.OpNot:
		return fixed([]*value.Type{value.Bool}, value.Bool, []expr{e}, func(v []any) (any, error) { return !v[0].(bool), nil })
	case ast.OpBitNot:
		return fixed([]*value.Type{value.Int64}, value.Int64, []expr{e}, func(v []any) (any, error) { return ^v[0].(int64), nil })
	case ast.OpPlus:
		return e, nil
	}
	if e.typ == nil || !e.typ.IsNumber() {
		return expr{}, invalid("Operator - is not defined for %s", e.typ)
	}
	soft := e.soft
	out, err := fixed([]*value.Type{e.typ}, e.typ, []expr{e}, func(v []any) (any, error) { return negate(v[0]) })
	out.soft = soft
	return out, err
}

func negate(v any) (any, error) {
	switch v := v.(type) {
	case int64:
		if v == math.MinInt64 {
			return nil, outOfRange("int64 overflow")
		}
		return -v, nil
	case float64:
		return -v, nil
	case float32:
		return -v, nil
	case *big.Rat:
		return new(big.Rat).Neg(v), nil
	}
	return nil, nil
}
