package value

import (
	"bytes"
	"cmp"
	"math/big"
	"strings"
	"time"
)

// Bytes is a BYTES value.
type Bytes []byte

// JSON is a JSON value as its normal text.
type JSON string

// UUID is a UUID value in lower-case text form.
type UUID string

// Struct is a STRUCT value: its fields in order.
type Struct []any

// CommitTime stands for the commit timestamp of the transaction that writes it.
type CommitTime struct{}

// Date is a DATE value in days since 1970-01-01.
type Date int32

// DateOf is the date of an instant in UTC.
func DateOf(t time.Time) Date {
	return Date(floorDiv(t.Unix(), 86400))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Time is the midnight in UTC at which the date begins.
func (d Date) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func (d Date) String() string { return d.Time().Format(time.DateOnly) }

// Compare orders two values of one type, NULL first; numbers of different
// types are compared by value, NaN before all other numbers. Values that cannot
// be ordered compare as equal only when they are the same.
func Compare(a, b any) int {
	if a == nil || b == nil {
		return boolCompare(a != nil, b != nil)
	}
	switch x := a.(type) {
	case bool:
		if y, ok := b.(bool); ok {
			return boolCompare(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case Bytes:
		if y, ok := b.(Bytes); ok {
			return bytes.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case Date:
		if y, ok := b.(Date); ok {
			return cmp.Compare(x, y)
		}
	case JSON:
		if y, ok := b.(JSON); ok {
			return strings.Compare(string(x), string(y))
		}
	case UUID:
		if y, ok := b.(UUID); ok {
			return strings.Compare(string(x), string(y))
		}
	case []any:
		if y, ok := b.([]any); ok {
			return compareLists(x, y)
		}
	case Struct:
		if y, ok := b.(Struct); ok {
			return compareLists(x, y)
		}
	case CommitTime:
		if _, ok := b.(CommitTime); ok {
			return 0
		}
		return 1
	default:
		return compareNumbers(a, b)
	}
	return compareKinds(a, b)
}

// compareKinds orders values of different kinds, so that sorting is total.
func compareKinds(a, b any) int {
	return cmp.Compare(kind(a), kind(b))
}

func kind(v any) int {
	switch v.(type) {
	case bool:
		return 1
	case int64, float64, float32, *big.Rat:
		return 2
	case string:
		return 3
	case Bytes:
		return 4
	case time.Time, CommitTime:
		return 5
	case Date:
		return 6
	case JSON:
		return 7
	}
	return 8
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareLists(a, b []any) int {
	for i := range min(len(a), len(b)) {
		if c := Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func compareNumbers(a, b any) int {
	x, okx := a.(int64)
	y, oky := b.(int64)
	if okx && oky {
		return cmp.Compare(x, y)
	}
	p, okp := a.(*big.Rat)
	q, okq := b.(*big.Rat)
	if okp && okq {
		return p.Cmp(q)
	}
	if kind(a) != kind(b) {
		return compareKinds(a, b)
	}
	if okp || okq {
		p, okp = ratOf(a)
		q, okq = ratOf(b)
		if okp && okq {
			return p.Cmp(q)
		}
	}
	return cmp.Compare(FloatOf(a), FloatOf(b))
}

// ratOf is a number as a rational; false for NaN and infinities.
func ratOf(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v), true
	case *big.Rat:
		return v, true
	case float64:
		r := new(big.Rat).SetFloat64(v)
		return r, r != nil
	case float32:
		r := new(big.Rat).SetFloat64(float64(v))
		return r, r != nil
	}
	return nil, false
}

// FloatOf is a number as a float; 0 for what is not a number.
func FloatOf(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	case float32:
		return float64(v)
	case *big.Rat:
		f, _ := v.Float64()
		return f
	}
	return 0
}
