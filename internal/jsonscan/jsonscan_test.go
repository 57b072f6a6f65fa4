package jsonscan

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/spancast/spancast/internal/mutants"
)

// walkAll reads any JSON value with this package alone.
func walkAll(b []byte) (any, error) {
	b = trim(b)
	if len(b) == 0 {
		return nil, ErrMalformed
	}
	switch b[0] {
	case '{':
		out := map[string]any{}
		m, err := Object(b)
		for err == nil && m.Next() {
			out[string(m.Key)], err = walkAll(m.Value)
		}
		return out, errors.Join(err, m.Err)
	case '[':
		out := []any{}
		e, err := Array(b)
		for err == nil && e.Next() {
			var v any
			v, err = walkAll(e.Value)
			out = append(out, v)
		}
		return out, errors.Join(err, e.Err)
	case '"':
		s, err := Text(b)
		return string(s), err
	}
	return json.Number(b), nil
}

// viaStandard reads the same with encoding/json.
func viaStandard(b []byte) (any, bool) {
	if !json.Valid(b) {
		return nil, false
	}
	var v any
	json.Unmarshal(b, &v)
	return shape(v), true
}

// shape maps scalars to what walkAll makes of them.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = shape(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = shape(v[i])
		}
		return v
	case string:
		return v
	}
	return json.Number("scalar")
}

func scalars(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = scalars(v[k])
		}
	case []any:
		for i := range v {
			v[i] = scalars(v[i])
		}
	case json.Number:
		return json.Number("scalar")
	}
	return v
}

func FuzzWalk_AgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[true,null,"x\"y\\"],"c":{"d":{}}}`, ` [ ] `, `{"":"\u00e9\ud83d\ude00"}`, `{"a" : [ {"b":1} , 2 ] }`,
		`"\\"`, `{"a":"\\\""}`, `[[[[1]]]]`, `{`, `[1,]`, `{"a":}`, `nul`, `{"a":1 "b":2}`, `"`, `[`, `{"a\`,
	} {
		f.Add([]byte(s))
		for mutant := range mutants.Of([]byte(s), 100) {
			f.Add(mutant)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := walkAll(b)
		want, valid := viaStandard(b)
		if !valid || !utf8.Valid(b) {
			return // must not panic, and has not
		}
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if got = scalars(got); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v", b, got, want)
		}
	})
}

func FuzzAppendString_IsJSON(f *testing.F) {
	const seed = "a\"b\\c\n\t\x00\x1f é 😀 </script>"
	f.Add(seed)
	for mutant := range mutants.Of(seed, 1000) {
		f.Add(mutant)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		quoted := AppendString([]byte("x"), s)[1:]
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatalf("%q gives %s: %v", s, quoted, err)
		}
		var want string
		standard, _ := json.Marshal(s)
		json.Unmarshal(standard, &want)
		if back != want {
			t.Fatalf("%q comes back as %q", s, back)
		}
	})
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int64{`1`: 1, `"42"`: 42, `-7`: -7, `"9223372036854775807"`: 1<<63 - 1} {
		if got, err := Int([]byte(text)); got != want || err != nil {
			t.Errorf("Int(%s) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `"`, `""`, `x`, `1.5`, `9223372036854775808`} {
		if got, err := Int([]byte(text)); err == nil {
			t.Errorf("Int(%s) = %d, want an error", text, got)
		}
	}
}

func TestArray_TakesAnObjectForAnArrayOfIt(t *testing.T) {
	e, err := Array([]byte(` {"a":1} `))
	if err != nil || !e.Next() || string(e.Value) != `{"a":1}` || e.Next() || e.Err != nil {
		t.Fatalf("got %q, %v, %v", e.Value, err, e.Err)
	}
}
