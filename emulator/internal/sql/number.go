package sql

import (
	"math"
	"math/big"
	"math/bits"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/spancast/spancast/emulator/internal/value"
)

// numberFunction has the functions on numbers.
func numberFunction(name string) function {
	float := map[string]func(float64) float64{"SQRT": math.Sqrt, "EXP": math.Exp, "LN": math.Log, "LOG10": math.Log10,
		"SIN": math.Sin, "COS": math.Cos, "TAN": math.Tan, "ASIN": math.Asin, "ACOS": math.Acos, "ATAN": math.Atan}[name]
	if float != nil {
		return simple(value.Float64, 0, []*value.Type{value.Float64}, func(v []any) (any, error) { return float(v[0].(float64)), nil })
	}
	switch name {
	case "ABS", "SIGN":
		return sameType(func(v any) (any, error) { return magnitude(name, v) })
	case "CEIL", "CEILING", "FLOOR", "TRUNC", "ROUND":
		return rounding(name)
	case "MOD", "DIV":
		return simple(value.Int64, 0, []*value.Type{value.Int64, value.Int64}, func(v []any) (any, error) {
			a, b := v[0].(int64), v[1].(int64)
			if b == 0 {
				return nil, outOfRange("division by zero: " + name)
			}
			if b == -1 {
				if name == "MOD" {
					return int64(0), nil
				}
				return negate(a)
			}
			if name == "MOD" {
				return a % b, nil
			}
			return a / b, nil
		})
	case "POW", "POWER":
		return simple(value.Float64, 0, []*value.Type{value.Float64, value.Float64}, func(v []any) (any, error) {
			return math.Pow(v[0].(float64), v[1].(float64)), nil
		})
	case "IS_NAN", "IS_INF":
		return simple(value.Bool, 0, []*value.Type{value.Float64}, func(v []any) (any, error) {
			if name == "IS_NAN" {
				return math.IsNaN(v[0].(float64)), nil
			}
			return math.IsInf(v[0].(float64), 0), nil
		})
	case "BIT_REVERSE":
		return simple(value.Int64, 0, []*value.Type{value.Int64, value.Bool}, func(v []any) (any, error) {
			n := v[0].(int64)
			if v[1].(bool) { // the sign stays where it is
				return int64(bits.Reverse64(uint64(n))>>1) | n&math.MinInt64, nil
			}
			return int64(bits.Reverse64(uint64(n))), nil
		})
	}
	return nil
}

// sameType is a function of one number whose result has the same type.
func sameType(f func(any) (any, error)) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) != 1 || args[0].typ == nil || !args[0].typ.IsNumber() {
			return expr{}, invalid("it takes one number")
		}
		t := args[0].typ
		return fixed([]*value.Type{t}, t, args, func(v []any) (any, error) { return f(v[0]) })
	}
}

func magnitude(name string, v any) (any, error) {
	order := value.Compare(v, int64(0))
	if name == "ABS" {
		if order < 0 {
			return negate(v)
		}
		return v, nil
	}
	switch v := v.(type) {
	case int64:
		return int64(order), nil
	case *big.Rat:
		return big.NewRat(int64(order), 1), nil
	case float32:
		return float32(order), nil
	case float64:
		if math.IsNaN(v) {
			return v, nil
		}
	}
	return float64(order), nil
}

// rounding takes a number and, for ROUND and TRUNC, how many digits to keep.
func rounding(name string) function {
	f := map[string]func(float64) float64{"CEIL": math.Ceil, "CEILING": math.Ceil, "FLOOR": math.Floor, "TRUNC": math.Trunc, "ROUND": math.Round}[name]
	return func(_ *compiler, args []expr) (expr, error) {
		digits := name == "ROUND" || name == "TRUNC"
		if len(args) == 0 || len(args) > 2 || len(args) == 2 && !digits || args[0].typ == nil || !args[0].typ.IsNumber() {
			return expr{}, invalid("no matching signature")
		}
		t := args[0].typ
		if t.Code != sppb.TypeCode_NUMERIC {
			t = value.Float64
		}
		return fixed([]*value.Type{t, value.Int64}, t, args, func(v []any) (any, error) {
			n := int64(0)
			if len(v) > 1 {
				n = max(min(v[1].(int64), 300), -300)
			}
			if r, ok := v[0].(*big.Rat); ok {
				return roundNumeric(name, t, r, n)
			}
			scale := math.Pow(10, float64(n))
			if scaled := v[0].(float64) * scale; !math.IsInf(scaled, 0) {
				return f(scaled) / scale, nil
			}
			return v[0], nil
		})
	}
}

func roundNumeric(name string, t *value.Type, r *big.Rat, digits int64) (any, error) {
	digits = max(min(digits, 9), -29)
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(digits, -digits)), nil))
	if digits < 0 {
		scale.Inv(scale)
	}
	scaled := new(big.Rat).Mul(r, scale)
	whole, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	step := big.NewInt(int64(r.Sign()))
	switch {
	case rest.Sign() == 0 || name == "TRUNC":
	case (name == "CEIL" || name == "CEILING") && r.Sign() > 0, name == "FLOOR" && r.Sign() < 0:
		whole.Add(whole, step)
	case name == "ROUND" && new(big.Int).Abs(rest).Lsh(new(big.Int).Abs(rest), 1).Cmp(scaled.Denom()) >= 0:
		whole.Add(whole, step)
	}
	v, err := value.CheckNumeric(t, new(big.Rat).Quo(new(big.Rat).SetInt(whole), scale))
	if err != nil {
		return nil, outOfRange(err.Error())
	}
	return v, nil
}
