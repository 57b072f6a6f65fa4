package value

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// random makes a value of one of the kinds that keys are made of.
func random(r *rand.Rand, kind int) any {
	if r.IntN(8) == 0 {
		return nil
	}
	switch kind {
	case 0:
		return r.IntN(2) == 0
	case 1:
		return []int64{math.MinInt64, -1, 0, 1, 255, 256, math.MaxInt64, r.Int64() - r.Int64()}[r.IntN(8)]
	case 2:
		return []float64{math.Inf(-1), -1.5, -math.SmallestNonzeroFloat64, 0, 1e-300, 2.5, math.Inf(1), r.NormFloat64()}[r.IntN(8)]
	case 3:
		return []string{"", "\x00", "\x00\x00", "\x00\xff", "\x01", "a", "a\x00b", "ab", "é"}[r.IntN(9)]
	case 4:
		return Bytes([]string{"", "\x00", "\xff", "\xff\xff", "a"}[r.IntN(5)])
	case 5:
		return time.Unix(r.Int64N(1e10)-5e9, r.Int64N(1e9)).UTC()
	case 6:
		return Date(r.IntN(20000) - 10000)
	}
	return big.NewRat(r.Int64()-r.Int64(), 1_000_000_000)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// TestKey_OrderIsThatOfTheValues compares encoded two-part keys with their
// values: the first part that differs decides, whatever its length.
func TestKey_OrderIsThatOfTheValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		kinds, desc := [2]int{r.IntN(8), r.IntN(8)}, [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}
		var a, b []byte
		want := 0
		var values [2][2]any
		for i := range 2 {
			x, y := random(r, kinds[i]), random(r, kinds[i])
			values[i] = [2]any{x, y}
			a, b = AppendKey(a, x, desc[i]), AppendKey(b, y, desc[i])
			order := Compare(x, y)
			if desc[i] {
				order = -order
			}
			if want == 0 {
				want = order
			}
		}
		if got := strings.Compare(string(a), string(b)); got != sign(want) {
			t.Fatalf("%v descending %v: keys order %d, values %d", values, desc, got, want)
		}
	}
}

func TestPrefixEnd_IsAfterEveryKeyWithThePrefix(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "a": "b", "a\xff": "b", "\xff\xff": "", "\x00": "\x01"} {
		if got := PrefixEnd(prefix); got != want {
			t.Errorf("%q: got %q, want %q", prefix, got, want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "null"}, {true, "true"}, {int64(-5), `"-5"`}, {1.5, "1.5"}, {math.NaN(), `"NaN"`}, {math.Inf(-1), `"-Infinity"`},
		{float32(3.14), "3.140000104904175"}, {1e21, "1e+21"}, {"a\"\\\n\t\x01é☃", "\"a\\\"\\\\\\n\\t\\u0001é☃\""}, {"\xff", "\"\ufffd\""},
		{Bytes("abc"), `"YWJj"`}, {Bytes{}, `""`}, {time.Date(2024, 1, 2, 3, 4, 5, 123456789, time.UTC), `"2024-01-02T03:04:05.123456789Z"`},
		{Date(0), `"1970-01-01"`}, {big.NewRat(-5, 4), `"-1.25"`}, {JSON(`{"a":1}`), `"{\"a\":1}"`}, {[]any{"a", nil, int64(1)}, `["a",null,"1"]`}, {[]any{}, "[]"},
	} {
		if got := string(AppendJSON(nil, c.v)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.v, got, c.want)
		}
	}
}

func TestParseJSON_Normalises(t *testing.T) {
	for in, want := range map[string][2]string{
		`{"b":1, "a":[1.50,"x"],"cc":null}`: {`{"a":[1.50,"x"],"b":1,"cc":null}`, `{"a": [1.50, "x"], "b": 1, "cc": null}`},
		` "text" `:                          {`"text"`, `"text"`},
	} {
		for i, typ := range []*Type{JSONType, PGJSONB} {
			if got, err := ParseJSON(typ, in); err != nil || got != JSON(want[i]) {
				t.Errorf("%s: got %v %v, want %s", in, got, err, want[i])
			}
		}
	}
	for _, bad := range []string{"", "{", "1 2", strings.Repeat("[", 100) + strings.Repeat("]", 100)} {
		if v, err := ParseJSON(JSONType, bad); err == nil {
			t.Errorf("%.20q is taken as %v", bad, v)
		}
	}
}

func TestParseNumeric_RangeAndScale(t *testing.T) {
	for in, want := range map[string]string{"1": "1", "-0.5": "-0.5", "1e3": "1000", "0.1234567895": "0.12345679", "99999999999999999999999999999.999999999": "99999999999999999999999999999.999999999"} {
		if v, err := ParseNumeric(Numeric, in); err != nil || NumericText(v.(*big.Rat)) != want {
			t.Errorf("%s: got %v %v, want %s", in, v, err, want)
		}
	}
	for _, bad := range []string{"", "x", "1/2", "0x10", "1e30", "1e999999999", "100000000000000000000000000000"} {
		if v, err := ParseNumeric(Numeric, bad); err == nil {
			t.Errorf("%q is taken as %v", bad, v)
		}
	}
}
