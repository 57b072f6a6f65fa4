package sql

import (
	"slices"
	"strings"

	"github.com/spancast/spancast/emulator/internal/value"
)

// arrayFunction has the functions on arrays.
func arrayFunction(name string) function {
	switch name {
	case "ARRAY_LENGTH":
		return onArray(func(*value.Type) *value.Type { return value.Int64 }, func(list []any) (any, error) { return int64(len(list)), nil })
	case "ARRAY_REVERSE":
		return onArray(func(t *value.Type) *value.Type { return t }, func(list []any) (any, error) {
			out := slices.Clone(list)
			slices.Reverse(out)
			return out, nil
		})
	case "ARRAY_FIRST", "ARRAY_LAST":
		return onArray(func(t *value.Type) *value.Type { return t.Elem }, func(list []any) (any, error) {
			if len(list) == 0 {
				return nil, outOfRange(name + " cannot get an element of an empty array")
			}
			if name == "ARRAY_FIRST" {
				return list[0], nil
			}
			return list[len(list)-1], nil
		})
	case "ARRAY_CONCAT":
		return func(_ *compiler, args []expr) (expr, error) { return concat(args) }
	case "ARRAY_TO_STRING":
		return simple(value.String, 1, []*value.Type{value.ArrayOf(value.String), value.String, value.String}, func(v []any) (any, error) {
			var parts []string
			for _, element := range v[0].([]any) {
				if element != nil {
					parts = append(parts, value.Text(element))
				} else if len(v) > 2 {
					parts = append(parts, v[2].(string))
				}
			}
			return strings.Join(parts, v[1].(string)), nil
		})
	case "ARRAY_INCLUDES":
		return func(_ *compiler, args []expr) (expr, error) {
			if len(args) != 2 || args[0].typ == nil || args[0].typ.Elem == nil {
				return expr{}, invalid("it takes an array and an element")
			}
			t := args[0].typ
			return fixed([]*value.Type{t, t.Elem}, value.Bool, args, func(v []any) (any, error) {
				found, err := contains(v[0].([]any), v[1], t.Elem)
				return found == true, err
			})
		}
	case "GENERATE_ARRAY":
		return simple(value.ArrayOf(value.Int64), 1, []*value.Type{value.Int64, value.Int64, value.Int64}, func(v []any) (any, error) {
			step := int64(1)
			if len(v) > 2 {
				step = v[2].(int64)
			}
			return generateArray(v[0].(int64), v[1].(int64), step)
		})
	}
	return nil
}

const maxGenerated = 100_000

func generateArray(from, to, step int64) (any, error) {
	if step == 0 {
		return nil, outOfRange("Sequence step cannot be 0")
	}
	out := []any{}
	for n := from; step > 0 && n <= to || step < 0 && n >= to; n += step {
		if len(out) == maxGenerated {
			return nil, outOfRange("The array is too long")
		}
		out = append(out, n)
		if step > 0 && n > to-step || step < 0 && n < to-step {
			break // the next one could overflow
		}
	}
	return out, nil
}

func onArray(out func(*value.Type) *value.Type, f func([]any) (any, error)) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) != 1 || args[0].typ == nil || args[0].typ.Code != arrayCode {
			return expr{}, invalid("it takes one array")
		}
		return fixed([]*value.Type{args[0].typ}, out(args[0].typ), args, func(v []any) (any, error) { return f(v[0].([]any)) })
	}
}
