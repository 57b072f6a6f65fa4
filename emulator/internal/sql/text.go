package sql

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/value"
)

func messageOf(err error) string { return status.Convert(err).Message() }

func generateUUID(name string) function {
	t := value.String
	if name != "GENERATE_UUID" {
		t = value.UUIDType
	}
	return func(*compiler, []expr) (expr, error) {
		return expr{typ: t, eval: func(*env) (any, error) {
			var b [16]byte
			if _, err := rand.Read(b[:]); err != nil {
				return nil, err
			}
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
			text := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
			if t == value.String {
				return text, nil
			}
			return value.UUID(text), nil
		}}, nil
	}
}

// maxResult bounds what string functions may make out of small arguments.
const maxResult = 10 << 20

// textFunction has the functions on STRING and BYTES.
func textFunction(name string) function {
	if f := wordFunction(name); f != nil {
		return f
	}
	str, num := value.String, value.Int64
	switch name {
	case "LENGTH", "CHAR_LENGTH", "CHARACTER_LENGTH", "BYTE_LENGTH", "OCTET_LENGTH":
		return length(strings.HasPrefix(name, "BYTE") || strings.HasPrefix(name, "OCTET"))
	case "SUBSTR", "SUBSTRING":
		return substr
	case "STRPOS":
		return simple(num, 0, []*value.Type{str, str}, func(v []any) (any, error) {
			i := strings.Index(v[0].(string), v[1].(string))
			if i < 0 {
				return int64(0), nil
			}
			return int64(utf8.RuneCountInString(v[0].(string)[:i]) + 1), nil
		})
	case "SPLIT":
		return simple(value.ArrayOf(str), 1, []*value.Type{str, str}, func(v []any) (any, error) {
			separator := ","
			if len(v) > 1 {
				separator = v[1].(string)
			}
			out := []any{}
			for part := range strings.SplitSeq(v[0].(string), separator) {
				out = append(out, part)
			}
			return out, nil
		})
	case "REPEAT":
		return simple(str, 0, []*value.Type{str, num}, func(v []any) (any, error) {
			n := v[1].(int64)
			if n < 0 || n*int64(len(v[0].(string))) > maxResult || n > maxResult {
				return nil, outOfRange("Invalid repetition count")
			}
			return strings.Repeat(v[0].(string), int(n)), nil
		})
	case "LPAD", "RPAD":
		return simple(str, 1, []*value.Type{str, num, str}, func(v []any) (any, error) { return padText(name == "LPAD", v) })
	case "REGEXP_CONTAINS", "REGEXP_EXTRACT", "REGEXP_REPLACE":
		return regular(name)
	case "TO_BASE64":
		return simple(str, 0, []*value.Type{value.BytesType}, func(v []any) (any, error) { return base64.StdEncoding.EncodeToString(v[0].(value.Bytes)), nil })
	case "FROM_BASE64":
		return simple(value.BytesType, 0, []*value.Type{str}, func(v []any) (any, error) { return decodeBase64(v[0].(string)) })
	case "TO_HEX":
		return simple(str, 0, []*value.Type{value.BytesType}, func(v []any) (any, error) { return hex.EncodeToString(v[0].(value.Bytes)), nil })
	case "FROM_HEX":
		return simple(value.BytesType, 0, []*value.Type{str}, func(v []any) (any, error) {
			b, err := hex.DecodeString(v[0].(string))
			if err != nil {
				return nil, outOfRange("Failed to decode invalid hexadecimal string")
			}
			return value.Bytes(b), nil
		})
	case "SHA1", "SHA256", "SHA512", "MD5":
		return digest(name)
	}
	return nil
}

// wordFunction has the functions from strings to a string or a bool.
func wordFunction(name string) function {
	one := map[string]func(string) string{"LOWER": strings.ToLower, "UPPER": strings.ToUpper, "REVERSE": reverse}[name]
	if one != nil {
		return simple(value.String, 0, []*value.Type{value.String}, func(v []any) (any, error) { return one(v[0].(string)), nil })
	}
	two := map[string]func(string, string) bool{"STARTS_WITH": strings.HasPrefix, "ENDS_WITH": strings.HasSuffix}[name]
	if two != nil {
		return simple(value.Bool, 0, []*value.Type{value.String, value.String}, func(v []any) (any, error) { return two(v[0].(string), v[1].(string)), nil })
	}
	trim := map[string]func(string, string) string{"TRIM": strings.Trim, "BTRIM": strings.Trim, "LTRIM": strings.TrimLeft, "RTRIM": strings.TrimRight}[name]
	if trim != nil {
		return simple(value.String, 1, []*value.Type{value.String, value.String}, func(v []any) (any, error) {
			set := " \t\n\v\f\r"
			if len(v) > 1 {
				set = v[1].(string)
			}
			return trim(v[0].(string), set), nil
		})
	}
	if name == "REPLACE" {
		return simple(value.String, 0, []*value.Type{value.String, value.String, value.String}, func(v []any) (any, error) {
			if v[1] == "" {
				return v[0], nil
			}
			out := strings.ReplaceAll(v[0].(string), v[1].(string), v[2].(string))
			if len(out) > maxResult {
				return nil, outOfRange("The result is too large")
			}
			return out, nil
		})
	}
	return nil
}

func reverse(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

func length(inBytes bool) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) != 1 || args[0].typ == nil {
			return expr{}, invalid("it takes one STRING or BYTES")
		}
		return fixed([]*value.Type{args[0].typ}, value.Int64, args, func(v []any) (any, error) {
			switch v := v[0].(type) {
			case string:
				if inBytes {
					return int64(len(v)), nil
				}
				return int64(utf8.RuneCountInString(v)), nil
			case value.Bytes:
				return int64(len(v)), nil
			}
			return nil, invalid("LENGTH is not defined for the argument's type")
		})
	}
}

// substr counts from 1, and from the end when the position is negative.
func substr(_ *compiler, args []expr) (expr, error) {
	if len(args) < 2 || len(args) > 3 {
		return expr{}, invalid("it takes 2 or 3 arguments")
	}
	t := value.String
	if args[0].typ != nil && args[0].typ.Code == value.BytesType.Code {
		t = value.BytesType
	}
	return fixed([]*value.Type{t, value.Int64, value.Int64}, t, args, func(v []any) (any, error) {
		count := int64(maxResult * 2)
		if len(v) > 2 {
			if count = v[2].(int64); count < 0 {
				return nil, outOfRange("Third argument in SUBSTR() cannot be negative")
			}
		}
		if s, ok := v[0].(string); ok {
			return string(cut([]rune(s), v[1].(int64), count)), nil
		}
		return cut(v[0].(value.Bytes), v[1].(int64), count), nil
	})
}

func cut[S ~[]E, E any](s S, position, count int64) S {
	n := int64(len(s))
	switch {
	case position > 0:
		position = min(position-1, n)
	case position < 0:
		position = max(n+position, 0)
	}
	return s[position:min(n, position+min(count, n))]
}

func padText(left bool, v []any) (any, error) {
	s, n, fill := []rune(v[0].(string)), v[1].(int64), []rune(" ")
	if len(v) > 2 {
		fill = []rune(v[2].(string))
	}
	if n < 0 || n > maxResult || len(fill) == 0 {
		return nil, outOfRange("Invalid length or pattern of padding")
	}
	if int64(len(s)) >= n {
		return string(s[:n]), nil
	}
	missing := int(n) - len(s)
	padding := []rune(strings.Repeat(string(fill), missing/len(fill)+1))[:missing]
	if left {
		return string(padding) + string(s), nil
	}
	return string(s) + string(padding), nil
}

func regular(name string) function {
	str := value.String
	out, want := str, []*value.Type{str, str}
	switch name {
	case "REGEXP_CONTAINS":
		out = value.Bool
	case "REGEXP_REPLACE":
		want = append(want, str)
	}
	return simple(out, 0, want, func(v []any) (any, error) {
		re, err := regexp.Compile(v[1].(string))
		if err != nil {
			return nil, outOfRange("Cannot parse regular expression: " + err.Error())
		}
		s := v[0].(string)
		switch name {
		case "REGEXP_CONTAINS":
			return re.MatchString(s), nil
		case "REGEXP_REPLACE":
			return re.ReplaceAllString(s, regexp.MustCompile(`\\(\d)`).ReplaceAllString(v[2].(string), "$${$1}")), nil
		}
		m := re.FindStringSubmatch(s)
		if m == nil {
			return nil, nil
		}
		return m[len(m)-1], nil
	})
}

func digest(name string) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) != 1 || args[0].typ == nil {
			return expr{}, invalid("it takes one STRING or BYTES")
		}
		return fixed([]*value.Type{args[0].typ}, value.BytesType, args, func(v []any) (any, error) {
			var data []byte
			switch v := v[0].(type) {
			case string:
				data = []byte(v)
			case value.Bytes:
				data = v
			}
			switch name {
			case "SHA1":
				sum := sha1.Sum(data)
				return value.Bytes(sum[:]), nil
			case "SHA512":
				sum := sha512.Sum512(data)
				return value.Bytes(sum[:]), nil
			case "MD5":
				sum := md5.Sum(data)
				return value.Bytes(sum[:]), nil
			}
			sum := sha256.Sum256(data)
			return value.Bytes(sum[:]), nil
		})
	}
}
