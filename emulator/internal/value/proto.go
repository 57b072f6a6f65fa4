package value

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// CommitPlaceholder is what a mutation writes for the commit timestamp.
const CommitPlaceholder = "spanner.commit_timestamp()"

// FromProto reads a value of type t as requests carry it.
func FromProto(t *Type, p *structpb.Value) (any, error) {
	switch k := p.GetKind().(type) {
	case nil, *structpb.Value_NullValue:
		return nil, nil
	case *structpb.Value_BoolValue:
		if t.Code == sppb.TypeCode_BOOL {
			return k.BoolValue, nil
		}
	case *structpb.Value_NumberValue:
		switch t.Code {
		case sppb.TypeCode_FLOAT64:
			return k.NumberValue, nil
		case sppb.TypeCode_FLOAT32:
			return float32(k.NumberValue), nil
		}
	case *structpb.Value_ListValue:
		return listFromProto(t, k.ListValue.GetValues())
	case *structpb.Value_StringValue:
		return fromText(t, k.StringValue)
	}
	return nil, fmt.Errorf("expected %s, got %s", t, describe(p))
}

func describe(p *structpb.Value) string {
	text := p.String()
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "…"
	}
	return text
}

func listFromProto(t *Type, list []*structpb.Value) (any, error) {
	out := make([]any, len(list))
	for i, p := range list {
		elem := t.Elem
		if t.Code == sppb.TypeCode_STRUCT {
			if len(list) != len(t.Fields) {
				return nil, fmt.Errorf("expected %d fields for %s, got %d", len(t.Fields), t, len(list))
			}
			elem = t.Fields[i].Type
		}
		if elem == nil {
			return nil, fmt.Errorf("expected %s, got a list", t)
		}
		v, err := FromProto(elem, p)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	if t.Code == sppb.TypeCode_STRUCT {
		return Struct(out), nil
	}
	if t.Code != sppb.TypeCode_ARRAY {
		return nil, fmt.Errorf("expected %s, got a list", t)
	}
	return out, nil
}

func fromText(t *Type, s string) (any, error) {
	switch t.Code {
	case sppb.TypeCode_STRING:
		return s, nil
	case sppb.TypeCode_INT64:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("could not parse %.40q as an INT64", s)
		}
		return n, nil
	case sppb.TypeCode_BYTES:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("could not parse %.40q as BYTES: %v", s, err)
		}
		return Bytes(b), nil
	case sppb.TypeCode_TIMESTAMP:
		if s == CommitPlaceholder {
			return CommitTime{}, nil
		}
		return ParseTimestamp(s, time.UTC)
	case sppb.TypeCode_DATE:
		return ParseDate(s)
	case sppb.TypeCode_NUMERIC:
		return ParseNumeric(t, s)
	case sppb.TypeCode_JSON:
		return ParseJSON(t, s)
	case sppb.TypeCode_UUID:
		return ParseUUID(s)
	case sppb.TypeCode_FLOAT64, sppb.TypeCode_FLOAT32:
		return specialFloat(t, s)
	}
	return nil, fmt.Errorf("expected %s, got the string %.40q", t, s)
}

func specialFloat(t *Type, s string) (any, error) {
	var f float64
	switch s {
	case "NaN":
		f = math.NaN()
	case "Infinity":
		f = math.Inf(1)
	case "-Infinity":
		f = math.Inf(-1)
	default:
		return nil, fmt.Errorf("expected %s, got the string %.40q", t, s)
	}
	if t.Code == sppb.TypeCode_FLOAT32 {
		return float32(f), nil
	}
	return f, nil
}

// ToProto is a value as results carry it.
func ToProto(v any) *structpb.Value {
	switch v := v.(type) {
	case nil:
		return structpb.NewNullValue()
	case bool:
		return structpb.NewBoolValue(v)
	case float64:
		return floatToProto(v)
	case float32:
		return floatToProto(float64(v))
	case []any:
		return listToProto(v)
	case Struct:
		return listToProto(v)
	}
	return structpb.NewStringValue(Text(v))
}

func floatToProto(f float64) *structpb.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return structpb.NewStringValue(floatText(f))
	}
	return structpb.NewNumberValue(f)
}

func listToProto(list []any) *structpb.Value {
	out := &structpb.ListValue{Values: make([]*structpb.Value, len(list))}
	for i, v := range list {
		out.Values[i] = ToProto(v)
	}
	return structpb.NewListValue(out)
}

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// Text is a scalar as the API writes it in a string; empty for NULL.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return floatText(v)
	case float32:
		return floatText(float64(v))
	case Bytes:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return string(AppendTimestamp(nil, v))
	case Date:
		return v.String()
	case *big.Rat:
		return NumericText(v)
	case JSON:
		return string(v)
	case UUID:
		return string(v)
	case CommitTime:
		return CommitPlaceholder
	}
	return ""
}
