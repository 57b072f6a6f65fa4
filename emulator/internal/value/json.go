package value

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
)

// AppendJSON writes a value as the values of change records have it.
func AppendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		dst = append(dst, '"')
		return append(strconv.AppendInt(dst, v, 10), '"')
	case float64:
		return appendJSONFloat(dst, v)
	case float32:
		return appendJSONFloat(dst, float64(v))
	case string:
		return AppendJSONString(dst, v)
	case Bytes:
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, v), '"')
	case time.Time:
		dst = append(dst, '"')
		return append(AppendTimestamp(dst, v), '"')
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSON(dst, element)
		}
		return append(dst, ']')
	}
	return AppendJSONString(dst, Text(v))
}

func appendJSONFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return AppendJSONString(dst, floatText(f))
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// AppendJSONString writes a JSON string.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		dst = appendEscape(append(dst, s[from:i]...), c)
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// maxJSONDepth bounds the nesting of JSON values, as Spanner does.
const maxJSONDepth = 80

// ParseJSON reads a JSON text and gives it its normal form: members sorted,
// no spaces (GoogleSQL), or jsonb's own order and spaces (PostgreSQL).
func ParseJSON(t *Type, s string) (any, error) {
	v, err := DecodeJSON(s)
	if err != nil {
		return nil, fmt.Errorf("invalid JSON: %v", err)
	}
	return EncodeJSON(v, t.Annotation == sppb.TypeAnnotationCode_PG_JSONB), nil
}

// DecodeJSON parses a JSON text with numbers as json.Number.
func DecodeJSON(s string) (any, error) {
	if err := checkDepth(s); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// checkDepth refuses deep nesting before anything recurses into it.
func checkDepth(s string) error {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxJSONDepth {
				return fmt.Errorf("nesting deeper than %d", maxJSONDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// EncodeJSON writes a decoded JSON value in its normal form.
func EncodeJSON(v any, jsonb bool) JSON {
	return JSON(appendNormal(nil, v, jsonb))
}

func appendNormal(dst []byte, v any, jsonb bool) []byte {
	comma, colon := ",", ":"
	if jsonb {
		comma, colon = ", ", ": "
	}
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			if jsonb && len(a) != len(b) {
				return cmp.Compare(len(a), len(b))
			}
			return cmp.Compare(a, b)
		})
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, comma...)
			}
			dst = append(AppendJSONString(dst, name), colon...)
			dst = appendNormal(dst, v[name], jsonb)
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, comma...)
			}
			dst = appendNormal(dst, element, jsonb)
		}
		return append(dst, ']')
	case string:
		return AppendJSONString(dst, v)
	case json.Number:
		return append(dst, v...)
	case bool:
		return strconv.AppendBool(dst, v)
	}
	return append(dst, "null"...)
}
