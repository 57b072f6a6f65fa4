package sql

import (
	"encoding/json"
	"strconv"
	"strings"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/spancast/spancast/emulator/internal/value"
)

// jsonFunction has the functions on JSON.
func jsonFunction(name string) function {
	switch name {
	case "JSON_VALUE", "JSON_QUERY":
		return jsonPath(name == "JSON_VALUE")
	case "TO_JSON":
		return oneArgAny(value.JSONType, func(v any) (any, error) { return value.EncodeJSON(toJSON(v), false), nil })
	case "TO_JSON_STRING":
		return oneArgAny(value.String, func(v any) (any, error) { return string(value.EncodeJSON(toJSON(v), false)), nil })
	case "PARSE_JSON":
		return simple(value.JSONType, 0, []*value.Type{value.String}, func(v []any) (any, error) { return castText(value.JSONType, v[0].(string)) })
	case "BOOL", "INT64", "FLOAT64":
		return func(_ *compiler, args []expr) (expr, error) {
			if len(args) != 1 || args[0].typ == nil || args[0].typ.Code != jsonCode {
				return expr{}, invalid("it takes one JSON value")
			}
			return jsonScalar(ScalarType(name), args[0]), nil
		}
	}
	return nil
}

func oneArgAny(out *value.Type, f func(any) (any, error)) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) != 1 {
			return expr{}, invalid("it takes one argument")
		}
		if t := args[0].typ; t != nil && (t.Code == structCode || t.Code == arrayCode && t.Elem.Code == structCode) {
			return expr{}, unsupported("JSON of a STRUCT")
		}
		return expr{typ: out, eval: func(e *env) (any, error) {
			v, err := args[0].eval(e)
			if err != nil {
				return nil, err
			}
			return f(v)
		}}, nil
	}
}

// toJSON turns a value into what encoding it as JSON wants.
func toJSON(v any) any {
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case float64, float32:
		return json.Number(string(value.AppendJSON(nil, v)))
	case value.JSON:
		out, err := value.DecodeJSON(string(v))
		if err != nil {
			return nil
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = toJSON(element)
		}
		return out
	}
	return value.Text(v)
}

// jsonScalar reads a JSON scalar as a SQL value.
func jsonScalar(t *value.Type, e expr) expr {
	return expr{typ: t, eval: func(at *env) (any, error) {
		v, err := e.eval(at)
		if err != nil || v == nil {
			return nil, err
		}
		decoded, err := value.DecodeJSON(string(v.(value.JSON)))
		if err != nil {
			return nil, err
		}
		switch d := decoded.(type) {
		case nil:
			return nil, nil
		case bool:
			if t.Code == sppb.TypeCode_BOOL {
				return d, nil
			}
		case string:
			if t.Code == sppb.TypeCode_STRING {
				return d, nil
			}
		case json.Number:
			if t.IsNumber() {
				return Cast(d.String(), t)
			}
		}
		return nil, outOfRange("The provided JSON value is not of type " + t.String())
	}}
}

func jsonMember(j value.JSON, name string) any {
	v, err := value.DecodeJSON(string(j))
	if err != nil {
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	member, ok := object[name]
	if !ok {
		return nil
	}
	return value.EncodeJSON(member, false)
}

// jsonIndex is json[name] or json[number].
func jsonIndex(base, at expr) expr {
	return expr{typ: base.typ, eval: func(e *env) (any, error) {
		v, err := base.eval(e)
		if err != nil || v == nil {
			return nil, err
		}
		i, err := at.eval(e)
		if err != nil || i == nil {
			return nil, err
		}
		switch i := i.(type) {
		case string:
			return jsonMember(v.(value.JSON), i), nil
		case int64:
			decoded, err := value.DecodeJSON(string(v.(value.JSON)))
			if list, ok := decoded.([]any); err == nil && ok && i >= 0 && i < int64(len(list)) {
				return value.EncodeJSON(list[i], false), nil
			}
		}
		return nil, nil
	}}
}

// jsonPath is JSON_VALUE, which gives scalars as strings, and JSON_QUERY,
// which gives JSON. Both take STRING or JSON.
func jsonPath(scalar bool) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) == 0 || len(args) > 2 || args[0].typ == nil {
			return expr{}, invalid("it takes JSON and a path")
		}
		out := value.String
		if !scalar && args[0].typ.Code == jsonCode {
			out = args[0].typ
		}
		return fixed([]*value.Type{args[0].typ, value.String}, out, args, func(v []any) (any, error) {
			path := "$"
			if len(v) > 1 {
				path = v[1].(string)
			}
			decoded, err := value.DecodeJSON(value.Text(v[0]))
			if err != nil {
				return nil, nil
			}
			found, err := walkJSON(decoded, path)
			if err != nil || found == nil {
				return nil, err
			}
			return pathResult(found, scalar, out), nil
		})
	}
}

func pathResult(found any, scalar bool, out *value.Type) any {
	if scalar {
		switch f := found.(type) {
		case string:
			return f
		case json.Number:
			return f.String()
		case bool:
			return strconv.FormatBool(f)
		}
		return nil
	}
	text := value.EncodeJSON(found, false)
	if out == value.String {
		return string(text)
	}
	return text
}

// walkJSON follows a path such as $.a.b[0]."c d".
func walkJSON(v any, path string) (any, error) {
	bad := outOfRange("Unsupported JSONPath: " + clip(path))
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, bad
	}
	for rest != "" {
		var step string
		switch rest[0] {
		case '.':
			if strings.HasPrefix(rest, `."`) {
				end := strings.IndexByte(rest[2:], '"')
				if end < 0 {
					return nil, bad
				}
				step, rest = rest[2:2+end], rest[3+end:]
				break
			}
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			step, rest = rest[1:1+end], rest[1+end:]
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, bad
			}
			step, rest = strings.Trim(rest[1:end], `'"`), rest[end+1:]
			if list, ok := v.([]any); ok {
				i, err := strconv.Atoi(step)
				if err != nil || i < 0 || i >= len(list) {
					return nil, nil
				}
				v = list[i]
				continue
			}
		default:
			return nil, bad
		}
		object, ok := v.(map[string]any)
		if !ok {
			return nil, nil
		}
		v = object[step]
	}
	return v, nil
}
