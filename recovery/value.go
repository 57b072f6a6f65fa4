package recovery

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/internal/jsonscan"
)

// appendValue writes a value of a result as the values of change records have
// it: both are the JSON encoding of query results.
func appendValue(dst []byte, v *structpb.Value) []byte {
	switch v := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return strconv.AppendBool(dst, v.BoolValue)
	case *structpb.Value_NumberValue:
		return appendNumber(dst, v.NumberValue)
	case *structpb.Value_StringValue:
		return jsonscan.AppendString(dst, v.StringValue)
	case *structpb.Value_ListValue:
		dst = append(dst, '[')
		for i, e := range v.ListValue.GetValues() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, e)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// appendNumber writes a FLOAT; NaN and the infinities come as strings.
func appendNumber(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// typeJSON writes a type as the column types of change records have it.
func typeJSON(t *spannerpb.Type) json.RawMessage {
	out := struct {
		Element    json.RawMessage `json:"array_element_type,omitempty"`
		Code       string          `json:"code"`
		Proto      string          `json:"proto_type_fqn,omitempty"`
		Annotation string          `json:"type_annotation,omitempty"`
	}{Code: t.GetCode().String(), Proto: t.GetProtoTypeFqn()}
	if t.GetTypeAnnotation() != spannerpb.TypeAnnotationCode_TYPE_ANNOTATION_CODE_UNSPECIFIED {
		out.Annotation = t.GetTypeAnnotation().String()
	}
	if e := t.GetArrayElementType(); e != nil {
		out.Element = typeJSON(e)
	}
	text, _ := json.Marshal(out) // strings alone
	return text
}

// A key is the values of a primary key, as they stand in a result.
type key []*structpb.Value

// String writes a key so that it can be part of a version.
func (k key) String() string {
	text := []byte{'['}
	for i, v := range k {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendValue(text, v)
	}
	return base64.RawURLEncoding.EncodeToString(append(text, ']'))
}

// spanner is the key for a read. What the client sends of a string is what came
// for INT64, BYTES and others.
func (k key) spanner() spanner.Key {
	out := make(spanner.Key, len(k))
	for i, v := range k {
		switch v := v.GetKind().(type) {
		case *structpb.Value_BoolValue:
			out[i] = v.BoolValue
		case *structpb.Value_NumberValue:
			out[i] = v.NumberValue
		case *structpb.Value_StringValue:
			out[i] = v.StringValue
		default:
			out[i] = spanner.NullString{}
		}
	}
	return out
}

var errKey = errors.New("not the key of a row")

// parseKey is the inverse of String.
func parseKey(text string) (key, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errKey
	}
	var list structpb.ListValue
	if err := list.UnmarshalJSON(raw); err != nil {
		return nil, errKey
	}
	return list.GetValues(), nil
}

// compare orders two keys as Spanner does: NULL first, then NaN, and the other
// way round where the column is descending.
func (k key) compare(o key, types []*spannerpb.Type, columns []tableColumn) int {
	for i := range k {
		c := compareValues(k[i], o[i], types[i].GetCode())
		if columns[i].desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func compareValues(a, b *structpb.Value, code spannerpb.TypeCode) int {
	_, nullA := a.GetKind().(*structpb.Value_NullValue)
	_, nullB := b.GetKind().(*structpb.Value_NullValue)
	if nullA || nullB {
		return compareBools(!nullA, !nullB)
	}
	textA, textB := a.GetStringValue(), b.GetStringValue()
	switch code {
	case spannerpb.TypeCode_BOOL:
		return compareBools(a.GetBoolValue(), b.GetBoolValue())
	case spannerpb.TypeCode_FLOAT64, spannerpb.TypeCode_FLOAT32:
		return cmp.Compare(number(a), number(b))
	case spannerpb.TypeCode_INT64, spannerpb.TypeCode_ENUM, spannerpb.TypeCode_NUMERIC:
		ratA, okA := new(big.Rat).SetString(textA)
		ratB, okB := new(big.Rat).SetString(textB)
		if okA && okB {
			return ratA.Cmp(ratB)
		}
	case spannerpb.TypeCode_BYTES:
		rawA, errA := base64.StdEncoding.DecodeString(textA)
		rawB, errB := base64.StdEncoding.DecodeString(textB)
		if errA == nil && errB == nil {
			return bytes.Compare(rawA, rawB)
		}
	case spannerpb.TypeCode_TIMESTAMP:
		timeA, errA := time.Parse(time.RFC3339Nano, textA)
		timeB, errB := time.Parse(time.RFC3339Nano, textB)
		if errA == nil && errB == nil {
			return timeA.Compare(timeB)
		}
	}
	return strings.Compare(textA, textB)
}

func compareBools(a, b bool) int {
	if a == b {
		return 0
	}
	if b {
		return -1
	}
	return 1
}

// number is a FLOAT's value; what has no JSON number comes as a string.
func number(v *structpb.Value) float64 {
	if text, ok := v.GetKind().(*structpb.Value_StringValue); ok {
		f, _ := strconv.ParseFloat(text.StringValue, 64)
		return f
	}
	return v.GetNumberValue()
}
