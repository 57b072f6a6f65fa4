package topics

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/spancast/spancast/changestream"
)

func mustParse(t testing.TB, text string) *Template {
	t.Helper()
	tmpl, err := ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// change builds a change of a table whose key columns are named K0, K1, …
func change(table string, op changestream.ModType, keys []any, columns ...string) (*changestream.DataChangeRecord, *changestream.Mod) {
	schema := &changestream.Schema{Table: table}
	values := map[string]any{}
	for i, v := range keys {
		name := fmt.Sprint("K", i)
		schema.Columns = append(schema.Columns, changestream.Column{Name: name, IsPrimaryKey: true})
		values[name] = v
	}
	for _, name := range columns {
		schema.Columns = append(schema.Columns, changestream.Column{Name: name})
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	return &changestream.DataChangeRecord{Schema: schema, ModType: op}, &changestream.Mod{Keys: text, NewValues: []byte("{}"), OldValues: []byte("{}")}
}

// topicsOf returns the topics that a router gives a change.
func topicsOf(t testing.TB, r *Router, rec *changestream.DataChangeRecord, mod *changestream.Mod) []string {
	t.Helper()
	var out []string
	for _, route := range r.Planner().Routes(rec, mod) {
		topic, err := route.Append(nil, rec, mod)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(topic))
	}
	return out
}

// TestRouter_TellsWhichKeyColumnsNoTableHas that their template is for, in
// whatever case they are written.
func TestRouter_TellsWhichKeyColumnsNoTableHas(t *testing.T) {
	rules, err := ParseRules([]byte(`rules:
  - {tables: [Users], topic: "u/{key.OrderId}/"}
  - {tables: ["sales.*"], ops: [DELETE], topics: ["{key.orderid}/", "x/{key.Line}/{key.Total}/"]}
  - {tables: [Nowhere], topic: "n/{key.UserId}/"}
  - {tables: [Tmp], drop: true}`))
	if err != nil {
		t.Fatal(err)
	}
	r := New("d", "s", mustParse(t, "{table}/{key}/{key.UserId}/{key.Nope}-x/{tag}/"), rules)
	list := func(keys map[string][]string) string {
		var out []string
		for _, k := range r.NoKeys(keys) {
			out = append(out, fmt.Sprint(k.From(), " ", k.Template, " ", k.Name))
		}
		return strings.Join(out, "\n")
	}
	want := "the default template {table}/{key}/{key.UserId}/{key.Nope}-x/{tag}/ Nope\nrule 1 u/{key.OrderId}/ OrderId\n" +
		"rule 2 x/{key.Line}/{key.Total}/ Total\nrule 3 n/{key.UserId}/ UserId"
	if got := list(map[string][]string{"Users": {"UserId"}, "sales.Orders": {"OrderId", "Line"}}); got != want {
		t.Errorf("%s", got)
	}
	if got := strings.Count(list(nil)+"\n", "\n"); got != 7 {
		t.Errorf("%d key columns are named, not %d:\n%s", 7, got, list(nil))
	}
	if got := New("d", "s", mustParse(t, Default), nil).NoKeys(nil); got != nil {
		t.Errorf("%v", got)
	}
}

func TestRoute_ExamplesOfTheTemplates(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		template, table string
		keys            []any
		tag, want       string
	}{
		{Default, "sales.Orders", []any{"1"}, "", "sales.Orders/UPDATE/"},
		{"{database}/{stream}/{schema}/{table}/", "sales.Orders", []any{"1"}, "", "shop/Everything/sales/sales.Orders/"},
		{"{schema}/{table}/", "Orders", []any{"1"}, "", "%+/Orders/"},
		{"{table}/{key}/", "Orders", []any{"4711", 3, true, nil, ""}, "", "Orders/4711/3/true/%-/%+/"},
		{"{table}/k-{key.K1}.x/{op}/", "Orders", []any{"a", "b"}, "", "Orders/k-b.x/UPDATE/"},
		{"{table}/{key.k0}/", "Orders", []any{"a"}, "", "Orders/a/"},
		{"{table}/{key.Nope}/", "Orders", []any{"a"}, "", "Orders/%-/"},
		{"{tag}/{table}/", "Orders", []any{"a"}, "app=shop/1", "app=shop%2F1/Orders/"},
		{"{tag}/", "Orders", []any{"a"}, "", "%+/"},
		{"{key}/", "T", []any{"a/b%c$"}, "", "a%2Fb%25c$/"},
		{"{key}/", "T", []any{"$hello"}, "", "%24hello/"},
		{"{key}/", "T", []any{"x\n\x7f\u0085é"}, "", "x%0A%7F%C2%85é/"},
		{"{key}/", "T", []any{"%-"}, "", "%25-/"},
		{"{key}/", "T", []any{"x~0123456789abcdef"}, "", "x%7E0123456789abcdef/"},
		{"{table}/{key}/", "T", []any{long}, "", "T/" + strings.Repeat("x", 255-2-1-17) + "~0d4e2ca9e9cbced7/"},
	} {
		rec, mod := change(c.table, changestream.ModUpdate, c.keys)
		rec.TransactionTag = []byte(c.tag)
		got := topicsOf(t, New("shop", "Everything", mustParse(t, c.template), nil), rec, mod)
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s of %s %v: got %q, want %q", c.template, c.table, c.keys, got, c.want)
		}
	}
}

func TestRoute_LevelsEndAboveRowData(t *testing.T) {
	for template, want := range map[string][]string{
		"{table}/{op}/":         {"", "Orders/", "Orders/UPDATE/"},
		"a/{table}/{key}/{op}/": {"", "a/", "a/Orders/"},
		"{key.K0}/{table}/":     {""},
		"x-{tag}/":              {""},
	} {
		rec, mod := change("Orders", changestream.ModUpdate, []any{"1"})
		route := New("d", "s", mustParse(t, template), nil).Planner().Routes(rec, mod)[0]
		if !slices.Equal(route.Levels, want) {
			t.Errorf("%s: levels %q, want %q", template, route.Levels, want)
		}
	}
}

// value draws key values, with those that escapes and cuts could confuse.
func value() *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[$%~/+a-f0-9\-]{0,24}`), rapid.StringMatching(`x{0,300}~[0-9a-f]{16}`),
		rapid.StringMatching(`é{0,200}`), rapid.Map(rapid.IntRange(0, 400), func(n int) string { return strings.Repeat("%", n) }))
	valid := rapid.Map(text, func(s string) any { return strings.ToValidUTF8(s, "?") })
	return rapid.OneOf(valid, rapid.Map(rapid.Just(0), func(int) any { return nil }), rapid.Map(rapid.Int(), func(n int) any { return n }))
}

var templates = []string{"{table}/{key}/", "{table}/{op}/{key}/", "{database}/x-{key.K0}-y/{table}/{key}/", "{key}/{table}/", "{table}/{tag}/{key}/"}

func TestRoute_DifferentKeysNeverShareATopic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tmpl, _ := ParseTemplate(rapid.SampledFrom(templates).Draw(t, "template"))
		n := rapid.IntRange(1, 4).Draw(t, "columns")
		keys := func(label string) []any { return rapid.SliceOfN(value(), n, n).Draw(t, label) }
		a, b := keys("a"), keys("b")
		r := New("d", "s", tmpl, nil)
		recA, modA := change("T", changestream.ModUpdate, a)
		recB, modB := change("T", changestream.ModUpdate, b)
		ta, _ := r.Planner().Routes(recA, modA)[0].Append(nil, recA, modA)
		tb, _ := r.Planner().Routes(recB, modB)[0].Append(nil, recB, modB)
		same := fmt.Sprintf("%T%v", a, a) == fmt.Sprintf("%T%v", b, b) && sameValues(a, b)
		if (string(ta) == string(tb)) != same {
			t.Fatalf("%q and %q give %q and %q", a, b, ta, tb)
		}
	})
}

// sameValues compares as a column of one type does: 1 and "1" cannot meet.
func sameValues(a, b []any) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) || a[i] != nil && fmt.Sprint(a[i]) != fmt.Sprint(b[i]) {
			return false
		}
	}
	return true
}

func TestRoute_EveryTopicIsWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tmpl, _ := ParseTemplate(rapid.SampledFrom(templates).Draw(t, "template"))
		keys := rapid.SliceOfN(value(), 1, 16).Draw(t, "keys")
		table := rapid.StringMatching(`[A-Za-z_]{1,128}(\.[A-Za-z_]{1,128})?`).Draw(t, "table")
		rec, mod := change(table, changestream.ModUpdate, keys)
		rec.TransactionTag = []byte(rapid.StringMatching(`[a-z/$%]{0,50}`).Draw(t, "tag"))
		route := New("d", "s", tmpl, nil).Planner().Routes(rec, mod)[0]
		b, err := route.Append([]byte("kept"), rec, mod)
		topic, ok := strings.CutPrefix(string(b), "kept")
		switch {
		case err != nil || !ok:
			t.Fatalf("%q, %v", b, err)
		case len(topic) > MaxLen:
			t.Fatalf("%d bytes: %q", len(topic), topic)
		case !utf8.ValidString(topic):
			t.Fatalf("not UTF-8: %q", topic)
		case !strings.HasSuffix(topic, "/") || strings.Contains(topic, "//") || strings.HasPrefix(topic, "$") || strings.Contains(topic, "/$"):
			t.Fatalf("malformed: %q", topic)
		}
		for i, level := range route.Levels {
			if !strings.HasPrefix(topic, level) || i > 0 && strings.Count(level, "/") != i {
				t.Fatalf("level %d, %q, of %q", i, level, topic)
			}
		}
	})
}

func TestRoute_APrefixMatchesWholeSegmentsOnly(t *testing.T) {
	r := New("d", "s", mustParse(t, "{table}/{key}/"), nil)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.StringMatching(`[A-Za-z]{1,5}`).Draw(t, "a")
		b := rapid.StringMatching(`[A-Za-z]{1,8}`).Draw(t, "b")
		rec, mod := change(b, changestream.ModUpdate, []any{"1"})
		topic, _ := r.Planner().Routes(rec, mod)[0].Append(nil, rec, mod)
		if got := strings.HasPrefix(string(topic), a+"/"); got != (a == b) {
			t.Fatalf("subscription %q, topic %q", a+"/", topic)
		}
	})
}

func TestParseTemplate_SaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "empty",
		"{table}":              "does not end in /",
		"/{table}/":            "empty",
		"{table}//":            "empty",
		"$x/":                  "kept for Spancast",
		"{tabel}/":             "{tabel} is not known",
		"{table/":              "without }",
		"table}/":              "without {",
		"{schema}.{table}/":    "could not be told apart",
		"x{key}/":              "stands alone",
		"{key.}/":              "names no column",
		"100%/":                "kept for escapes",
		"a\x01/":               "cannot be printed",
		"{table}/{op}/$x{op}/": "kept for Spancast",
	} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error that says %q", text, err, want)
		}
	}
}
