package sql

import (
	"strings"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

// function compiles a call from its compiled arguments.
type function func(c *compiler, args []expr) (expr, error)

// fixed is a function with fixed argument types that is NULL when any argument is.
func fixed(want []*value.Type, out *value.Type, args []expr, f func([]any) (any, error)) (expr, error) {
	if len(args) > len(want) {
		return expr{}, invalid("Too many arguments: %d, expected %d", len(args), len(want))
	}
	list := make([]expr, len(args))
	free := true
	for i, e := range args {
		var err error
		if list[i], err = coerce(e, want[i]); err != nil {
			return expr{}, err
		}
		free = free && e.free
	}
	return expr{typ: out, free: free, eval: func(e *env) (any, error) {
		var few [3]any
		values := few[:0]
		for _, arg := range list {
			v, err := arg.eval(e)
			if err != nil || v == nil {
				return nil, err
			}
			values = append(values, v)
		}
		return f(values)
	}}, nil
}

// simple makes a function of fixed types; the last optional arguments may be
// left out.
func simple(out *value.Type, optional int, want []*value.Type, f func([]any) (any, error)) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) < len(want)-optional || len(args) > len(want) {
			return expr{}, invalid("it takes %d to %d arguments, not %d", len(want)-optional, len(want), len(args))
		}
		return fixed(want, out, args, f)
	}
}

// callExpr compiles a function call.
func (c *compiler) callExpr(n ast.Expr, s *scope) (expr, error) {
	switch n := n.(type) {
	case *ast.ExtractExpr:
		return c.extract(n, s)
	case *ast.CallExpr:
		return c.call(n, s)
	}
	return expr{}, invalid("Aggregate function %s is not allowed here", clip(n.SQL()))
}

func (c *compiler) call(n *ast.CallExpr, s *scope) (expr, error) {
	name := strings.ToUpper(strings.Join(pathNames(n.Func), "."))
	name, safe := strings.CutPrefix(name, "SAFE.")
	if isAggregate(name) {
		return expr{}, invalid("Aggregate function %s not allowed here", name)
	}
	if len(n.NamedArgs) > 0 || n.Distinct || n.OrderBy != nil || n.Limit != nil || n.Having != nil {
		return expr{}, unsupported("The call %s with named or modified arguments", name)
	}
	if e, ok, err := c.dateCall(name, n.Args, s); ok || err != nil {
		return e, err
	}
	f := lookup(name)
	if f == nil {
		return expr{}, invalid("Function not found: %s (this emulator has part of Spanner's functions)", clip(name))
	}
	var args []expr
	for _, arg := range n.Args {
		e, err := c.plain(arg, s)
		if err != nil {
			return expr{}, err
		}
		args = append(args, e)
	}
	e, err := f(c, args)
	if err != nil {
		return expr{}, invalid("%s: %v", name, messageOf(err))
	}
	if safe {
		base := e.eval
		e.eval = func(at *env) (any, error) {
			v, err := base(at)
			if err != nil {
				return nil, nil
			}
			return v, nil
		}
	}
	return e, nil
}

// lookup finds a function by its upper-case name.
func lookup(name string) function {
	for _, find := range []func(string) function{generalFunction, textFunction, numberFunction, timeFunction, jsonFunction, arrayFunction} {
		if f := find(name); f != nil {
			return f
		}
	}
	return nil
}

// generalFunction has the functions that take any type.
func generalFunction(name string) function {
	switch name {
	case "COALESCE", "IFNULL":
		return coalesce
	case "NULLIF":
		return nullIf
	case "IF":
		return func(_ *compiler, args []expr) (expr, error) {
			if len(args) != 3 {
				return expr{}, invalid("it takes 3 arguments")
			}
			cond, err := coerce(args[0], value.Bool)
			if err != nil {
				return expr{}, err
			}
			return choose([]expr{cond}, args[1:])
		}
	case "GREATEST", "LEAST":
		return extreme(name == "GREATEST")
	case "CONCAT":
		return func(_ *compiler, args []expr) (expr, error) { return concat(args) }
	case "ERROR":
		return simple(value.Int64, 0, []*value.Type{value.String}, func(v []any) (any, error) { return nil, outOfRange(v[0].(string)) })
	case "GENERATE_UUID", "NEW_UUID", "GEN_RANDOM_UUID":
		return generateUUID(name)
	case "PENDING_COMMIT_TIMESTAMP":
		return func(*compiler, []expr) (expr, error) { return constant(value.Timestamp, value.CommitTime{}), nil }
	}
	return nil
}

func coalesce(_ *compiler, args []expr) (expr, error) {
	args, t, err := align(args...)
	if err != nil {
		return expr{}, err
	}
	return expr{typ: t, eval: func(e *env) (any, error) {
		for _, arg := range args {
			if v, err := arg.eval(e); err != nil || v != nil {
				return v, err
			}
		}
		return nil, nil
	}}, nil
}

func nullIf(_ *compiler, args []expr) (expr, error) {
	if len(args) != 2 {
		return expr{}, invalid("it takes 2 arguments")
	}
	args, t, err := align(args...)
	if err != nil {
		return expr{}, err
	}
	return expr{typ: t, eval: func(e *env) (any, error) {
		a, err := args[0].eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		b, err := args[1].eval(e)
		if err != nil || b != nil && value.Compare(a, b) == 0 {
			return nil, err
		}
		return a, nil
	}}, nil
}

func extreme(greatest bool) function {
	return func(_ *compiler, args []expr) (expr, error) {
		args, t, err := align(args...)
		if err != nil || len(args) == 0 {
			return expr{}, invalid("no matching signature")
		}
		want := make([]*value.Type, len(args))
		for i := range want {
			want[i] = t
		}
		return fixed(want, t, args, func(v []any) (any, error) {
			best := v[0]
			for _, x := range v[1:] {
				if order := value.Compare(x, best); greatest && order > 0 || !greatest && order < 0 {
					best = x
				}
			}
			return best, nil
		})
	}
}

// concat joins STRINGs, BYTES or ARRAYs.
func concat(args []expr) (expr, error) {
	args, t, err := align(args...)
	if err != nil || t == nil || len(args) == 0 {
		return expr{}, invalid("No matching signature for CONCAT")
	}
	want := make([]*value.Type, len(args))
	for i := range want {
		want[i] = t
	}
	return fixed(want, t, args, func(v []any) (any, error) {
		switch v[0].(type) {
		case string:
			var b strings.Builder
			for _, x := range v {
				b.WriteString(x.(string))
			}
			return b.String(), nil
		case value.Bytes:
			var out value.Bytes
			for _, x := range v {
				out = append(out, x.(value.Bytes)...)
			}
			return out, nil
		case []any:
			out := []any{}
			for _, x := range v {
				out = append(out, x.([]any)...)
			}
			return out, nil
		}
		return nil, invalid("CONCAT is not defined for %s", t)
	})
}
