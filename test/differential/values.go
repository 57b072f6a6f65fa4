package differential

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"time"

	"cloud.google.com/go/civil"
	"cloud.google.com/go/spanner"
)

// typ is a column type by its GoogleSQL name.
type typ string

const (
	int64Type   typ = "INT64"
	stringType  typ = "STRING(MAX)"
	boolType    typ = "BOOL"
	float64Type typ = "FLOAT64"
	float32Type typ = "FLOAT32"
	bytesType   typ = "BYTES(MAX)"
	dateType    typ = "DATE"
	timeType    typ = "TIMESTAMP"
	numericType typ = "NUMERIC"
	jsonType    typ = "JSON"
	intsType    typ = "ARRAY<INT64>"
	stringsType typ = "ARRAY<STRING(MAX)>"
)

func allTypes(bool) []typ {
	return []typ{int64Type, stringType, boolType, float64Type, float32Type, bytesType, dateType, timeType, numericType, jsonType, intsType, stringsType}
}

func (t typ) ddl(pg bool) string {
	if !pg {
		return string(t)
	}
	return map[typ]string{int64Type: "bigint", stringType: "varchar", boolType: "boolean", float64Type: "double precision", float32Type: "real", bytesType: "bytea",
		dateType: "date", timeType: "timestamptz", numericType: "numeric", jsonType: "jsonb", intsType: "bigint[]", stringsType: "varchar[]"}[t]
}

var texts = []string{"", "a", "Ünïcode ☃ 𝄞", "quote \" and \\ back", "new\nline\ttab\x01", "O'Brien", "<html>&amp;</html>", "null", "x"}

// value makes a random value of a type; keys are never NULL and come from few.
func value(r *rand.Rand, t typ, pg, key bool) any {
	valid := key || r.IntN(5) > 0
	if key {
		switch t {
		case int64Type:
			return int64(r.IntN(6)) - 2
		case stringType:
			return texts[r.IntN(len(texts))]
		}
	}
	n := r.IntN(2000) - 1000
	switch t {
	case int64Type:
		return spanner.NullInt64{Int64: int64(n) * int64(r.IntN(1<<40)+1), Valid: valid}
	case stringType:
		return spanner.NullString{StringVal: texts[r.IntN(len(texts))], Valid: valid}
	case boolType:
		return spanner.NullBool{Bool: n > 0, Valid: valid}
	case float64Type:
		return spanner.NullFloat64{Float64: []float64{0, 1.5, -2.25e-7, 1e21, 123456789.125, 3.1415926535, -1e300}[r.IntN(7)], Valid: valid}
	case float32Type:
		return spanner.NullFloat32{Float32: []float32{0, 1.5, -2.25e-7, 3.14, 1e20}[r.IntN(5)], Valid: valid}
	case dateType:
		return spanner.NullDate{Date: civil.DateOf(time.Date(2000, 1, 1+n, 0, 0, 0, 0, time.UTC)), Valid: valid}
	case timeType:
		return spanner.NullTime{Time: time.Unix(int64(n)*86399, 0).UTC(), Valid: valid}
	}
	return composite(r, t, pg, valid, n)
}

func composite(r *rand.Rand, t typ, pg, valid bool, n int) any {
	switch t {
	case bytesType:
		if !valid {
			return []byte(nil)
		}
		return append([]byte{}, texts[r.IntN(len(texts))]...)
	case numericType:
		text := fmt.Sprintf("%d.%03d", n, r.IntN(1000))
		if pg {
			rat, _ := new(big.Rat).SetString(text)
			return spanner.PGNumeric{Numeric: trimmed(rat), Valid: valid}
		}
		rat, _ := new(big.Rat).SetString(text)
		return spanner.NullNumeric{Numeric: *rat, Valid: valid}
	case jsonType:
		var v any
		text := []string{`{"a":{"b":[1,2.5,"x"]},"Z":null}`, `[]`, `"text"`, `12`, `{"bb":1,"a":true}`}[r.IntN(5)]
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil
		}
		if pg {
			return spanner.PGJsonB{Value: v, Valid: valid}
		}
		return spanner.NullJSON{Value: v, Valid: valid}
	case intsType:
		if !valid {
			return []int64(nil)
		}
		return []int64{int64(n), 0, -5}[:r.IntN(4)]
	case stringsType:
		if !valid {
			return []string(nil)
		}
		return append([]string{}, texts[:r.IntN(4)]...)
	}
	return nil
}

// trimmed writes a number without needless zeros, which jsonb and numeric of
// the two servers keep or drop differently.
func trimmed(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	digits, _ := r.FloatPrec()
	return r.FloatString(digits)
}
