package sql

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

func (c *compiler) castExpr(n *ast.CastExpr, s *scope) (expr, error) {
	e, err := c.expr(n.Expr, s)
	if err != nil {
		return expr{}, err
	}
	t, err := c.astType(n.Type)
	if err != nil {
		return expr{}, err
	}
	if e.typ != nil && !castable(e.typ, t) {
		return expr{}, invalid("Invalid cast from %s to %s", e.typ, t)
	}
	return expr{typ: t, free: e.free, eval: func(at *env) (any, error) {
		v, err := e.eval(at)
		if err != nil || v == nil {
			return nil, err
		}
		out, err := Cast(v, t)
		if err != nil && n.Safe {
			return nil, nil
		}
		return out, err
	}}, nil
}

// astType is a type as written in a query.
func (c *compiler) astType(n ast.Type) (*value.Type, error) {
	switch n := n.(type) {
	case *ast.SimpleType:
		if t := ScalarType(string(n.Name)); t != nil {
			return c.schema.Dialect.Type(t), nil
		}
	case *ast.ArrayType:
		elem, err := c.astType(n.Item)
		if err != nil {
			return nil, err
		}
		return value.ArrayOf(elem), nil
	case *ast.StructType:
		t := &value.Type{Code: structCode}
		for _, f := range n.Fields {
			ft, err := c.astType(f.Type)
			if err != nil {
				return nil, err
			}
			field := value.Field{Type: ft}
			if f.Ident != nil {
				field.Name = f.Ident.Name
			}
			t.Fields = append(t.Fields, field)
		}
		return t, nil
	case *ast.NamedType:
		if len(n.Path) == 1 && strings.EqualFold(n.Path[0].Name, "UUID") {
			return value.UUIDType, nil
		}
	}
	return nil, unsupported("The type %s", clip(n.SQL()))
}

// ScalarType finds a scalar type by its GoogleSQL name.
func ScalarType(name string) *value.Type {
	switch strings.ToUpper(name) {
	case "BOOL":
		return value.Bool
	case "INT64":
		return value.Int64
	case "FLOAT64":
		return value.Float64
	case "FLOAT32":
		return value.Float32
	case "STRING":
		return value.String
	case "BYTES":
		return value.BytesType
	case "DATE":
		return value.DateType
	case "TIMESTAMP":
		return value.Timestamp
	case "NUMERIC":
		return value.Numeric
	case "JSON":
		return value.JSONType
	case "UUID":
		return value.UUIDType
	}
	return nil
}

// castable reports whether there is a cast at all.
func castable(from, to *value.Type) bool {
	if from.Same(to) || from.IsNumber() && to.IsNumber() {
		return true
	}
	text := func(t *value.Type) bool { return t.Code == sppb.TypeCode_STRING }
	switch {
	case from.Code == arrayCode && to.Code == arrayCode:
		return castable(from.Elem, to.Elem)
	case from.Code == arrayCode || to.Code == arrayCode:
		return false
	case from.Code == structCode || to.Code == structCode:
		return from.Code == to.Code && len(from.Fields) == len(to.Fields)
	case text(from) || text(to):
		return true
	case from.Code == sppb.TypeCode_BOOL:
		return to.Code == sppb.TypeCode_INT64
	case to.Code == sppb.TypeCode_BOOL:
		return from.Code == sppb.TypeCode_INT64
	case from.Code == sppb.TypeCode_DATE:
		return to.Code == sppb.TypeCode_TIMESTAMP
	case from.Code == sppb.TypeCode_TIMESTAMP:
		return to.Code == sppb.TypeCode_DATE
	}
	return false
}

// Cast converts a value, which is not NULL, to a type.
func Cast(v any, t *value.Type) (any, error) {
	switch t.Code {
	case sppb.TypeCode_BOOL:
		return castBool(v)
	case sppb.TypeCode_INT64:
		return castInt(v)
	case sppb.TypeCode_FLOAT64, sppb.TypeCode_FLOAT32:
		return castFloat(v, t)
	case sppb.TypeCode_NUMERIC:
		return castNumeric(v, t)
	case sppb.TypeCode_STRING:
		return castString(v)
	case sppb.TypeCode_BYTES:
		if s, ok := v.(string); ok {
			return castBytes(s), nil
		}
	case sppb.TypeCode_DATE:
		switch v := v.(type) {
		case time.Time:
			return value.DateOf(v.UTC()), nil
		case string:
			return castText(t, v)
		}
	case sppb.TypeCode_TIMESTAMP:
		switch v := v.(type) {
		case value.Date:
			return v.Time(), nil
		case string:
			return castText(t, v)
		}
	case sppb.TypeCode_JSON, sppb.TypeCode_UUID:
		if s, ok := v.(string); ok {
			return castText(t, s)
		}
	case arrayCode:
		return castList(v, t)
	}
	return v, nil
}

// castBytes reads PostgreSQL's form of bytes, '\x00ff'; any other text is its
// own bytes. GoogleSQL has replaced the escapes of its literals before.
func castBytes(s string) value.Bytes {
	if digits, ok := strings.CutPrefix(s, `\x`); ok {
		if out, err := hex.DecodeString(digits); err == nil {
			return out
		}
	}
	return value.Bytes(s)
}

func castList(v any, t *value.Type) (any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, invalid("Invalid cast to %s", t)
	}
	out := make([]any, len(list))
	for i, element := range list {
		if element == nil {
			continue
		}
		cast, err := Cast(element, t.Elem)
		if err != nil {
			return nil, err
		}
		out[i] = cast
	}
	return out, nil
}

func castText(t *value.Type, s string) (any, error) {
	var v any
	var err error
	switch t.Code {
	case sppb.TypeCode_TIMESTAMP:
		v, err = value.ParseTimestamp(s, time.UTC)
	case sppb.TypeCode_DATE:
		v, err = value.ParseDate(s)
	case sppb.TypeCode_NUMERIC:
		v, err = value.ParseNumeric(t, s)
	case sppb.TypeCode_JSON:
		v, err = value.ParseJSON(t, s)
	case sppb.TypeCode_UUID:
		v, err = value.ParseUUID(s)
	}
	if err != nil {
		return nil, outOfRange(err.Error())
	}
	return v, nil
}

func castBool(v any) (any, error) {
	switch v := v.(type) {
	case int64:
		return v != 0, nil
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, outOfRange("Bad bool value: " + clip(v))
	}
	return v, nil
}

func castInt(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case float32:
		return castInt(float64(v))
	case float64:
		r := math.Round(v)
		if math.IsNaN(r) || r < -9.3e18 || r >= 9223372036854775808 {
			return nil, outOfRange("Illegal conversion of non-finite or too large floating point number to an integer")
		}
		return int64(r), nil
	case *big.Rat:
		text := v.FloatString(0)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, outOfRange("int64 out of range: " + clip(text))
		}
		return n, nil
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 0, 64)
		if err != nil {
			return nil, outOfRange("Bad int64 value: " + clip(v))
		}
		return n, nil
	}
	return v, nil
}

func castFloat(v any, t *value.Type) (any, error) {
	f := value.FloatOf(v)
	if s, ok := v.(string); ok {
		var err error
		if f, err = strconv.ParseFloat(strings.TrimSpace(s), 64); err != nil {
			return nil, outOfRange("Bad double value: " + clip(s))
		}
	}
	if t.Code == sppb.TypeCode_FLOAT32 {
		return float32(f), nil
	}
	return f, nil
}

func castNumeric(v any, t *value.Type) (any, error) {
	switch v := v.(type) {
	case string:
		return castText(t, v)
	case int64:
		return new(big.Rat).SetInt64(v), nil
	case float32, float64:
		r, ok := new(big.Rat).SetString(strconv.FormatFloat(value.FloatOf(v), 'f', -1, 64))
		if !ok {
			return nil, outOfRange("Illegal conversion of non-finite floating point number to numeric")
		}
		out, err := value.CheckNumeric(t, r)
		if err != nil {
			return nil, outOfRange(err.Error())
		}
		return out, nil
	}
	return v, nil
}

func castString(v any) (any, error) {
	switch v := v.(type) {
	case value.Bytes:
		if !utf8.Valid(v) {
			return nil, outOfRange("Invalid cast of bytes to UTF8 string")
		}
		return string(v), nil
	case time.Time:
		text := v.UTC().Format("2006-01-02 15:04:05.999999999-07:00")
		return strings.TrimSuffix(text, ":00"), nil
	}
	return value.Text(v), nil
}
