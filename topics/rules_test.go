package topics

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

func mustRules(t testing.TB, text string) []Rule {
	t.Helper()
	rules, err := ParseRules([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

const exampleRules = `
rules:
  - tables: ["Tmp*", secret.Keys]
    drop: true
  - tables: [Orders]
    ops: [update]
    columns: [Status]
    topics: ["status/{key}/", "{table}/{op}/"]
  - tables: [Orders]
    ops: [DELETE]
    topic: gone/{table}/
`

func TestRouter_TheFirstRuleThatMatchesDecides(t *testing.T) {
	r := New("d", "s", mustParse(t, Default), mustRules(t, exampleRules))
	for _, c := range []struct {
		table   string
		op      changestream.ModType
		columns []string
		want    []string
	}{
		{"TmpThings", changestream.ModInsert, nil, nil},
		{"secret.Keys", changestream.ModInsert, nil, nil},
		{"secret.Tmp", changestream.ModInsert, nil, []string{"secret.Tmp/INSERT/"}},
		{"Orders", changestream.ModUpdate, []string{"Total", "status"}, []string{"status/7/", "Orders/UPDATE/"}},
		{"Orders", changestream.ModUpdate, []string{"Total"}, []string{"Orders/UPDATE/"}},
		{"Orders", changestream.ModDelete, []string{"Status"}, []string{"gone/Orders/"}},
		{"Orders", changestream.ModInsert, []string{"Status"}, []string{"Orders/INSERT/"}},
		{"OrdersArchive", changestream.ModDelete, nil, []string{"OrdersArchive/DELETE/"}},
	} {
		rec, mod := change(c.table, c.op, []any{"7"}, c.columns...)
		if got := topicsOf(t, r, rec, mod); !slices.Equal(got, c.want) {
			t.Errorf("%s of %s(%v): got %q, want %q", c.op, c.table, c.columns, got, c.want)
		}
	}
}

func TestRouter_ReadsTheChangedColumnsFromOldValuesWhereTheListNamesAll(t *testing.T) {
	p := New("d", "s", mustParse(t, Default), mustRules(t, exampleRules)).Planner()
	rec, mod := change("Orders", changestream.ModUpdate, []any{"7"}, "Status", "Total")
	rec.ValueCaptureType = changestream.NewRowAndOldValues
	for old, want := range map[string]int{`{"Total":"1"}`: 1, `{"Status":"new"}`: 2, `{}`: 1} {
		mod.OldValues = []byte(old)
		for range 2 { // found and remembered
			if got := len(p.Routes(rec, mod)); got != want {
				t.Errorf("old values %s: %d topics, want %d", old, got, want)
			}
		}
	}
	rec.ValueCaptureType = changestream.NewRow // does not say what changed: a rule that asks takes it
	if got := len(p.Routes(rec, mod)); got != 2 {
		t.Errorf("NEW_ROW: %d topics, want 2", got)
	}
}

func TestRouter_EqualRoutesAreOne(t *testing.T) {
	r := New("d", "s", mustParse(t, Default), nil)
	a, mod := change("Orders", changestream.ModUpdate, []any{"7"}, "A")
	b, _ := change("Orders", changestream.ModUpdate, []any{"7"}, "A", "B")
	if r.Planner().Routes(a, mod)[0] != r.Planner().Routes(b, mod)[0] {
		t.Error("two column lists of one table have two routes")
	}
}

func TestParseRules_ListsAllFaults(t *testing.T) {
	_, err := ParseRules([]byte(`
rules:
  - tables: ["[a"]
    topic: x/
  - ops: [UPSERT]
    topic: "{tabel}/"
  - tables: [T]
  - tables: [T]
    topic: a/
    drop: true
  - topics: [a/, a/]
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`rule 1: tables: "[a"`, `rule 2: ops: "UPSERT"`, `rule 2: topic template`, `rule 3: wants exactly one`, `rule 4: wants exactly one`, `rule 5: topics: a/ stands there twice`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	for _, text := range []string{"rules: 5", "rulez: []", "- a", "rules:\n - tabels: [T]\n   drop: true"} {
		if _, err := ParseRules([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	if rules, err := ParseRules(nil); err != nil || rules != nil {
		t.Errorf("an empty file: %v, %v", rules, err)
	}
}

func TestRulesFile_ABadNewFileLeavesTheOldRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := OpenRules(path); err == nil {
		t.Fatal("no error for a file that is not there")
	}
	write("rules: [{tables: [A], drop: true}]")
	f, rules, err := OpenRules(path)
	if err != nil || len(rules) != 1 {
		t.Fatal(rules, err)
	}
	write("\n")
	if rules, changed, err := f.Reread(); changed || err != nil {
		t.Errorf("empty for a moment: %v, %t, %v", rules, changed, err)
	}
	type event struct {
		n   int
		err error
	}
	events := make(chan event)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go f.Watch(ctx, time.Millisecond, func(rules []Rule, err error) { events <- event{len(rules), err} })
	next := func() event {
		select {
		case e := <-events:
			return e
		case <-ctx.Done():
			t.Fatal("no change was seen")
			return event{}
		}
	}
	os.Remove(path)
	write("rules: [{tables: [A], drop: true}, {tables: [B], drop: true}]")
	for e := next(); e.n != 2 || e.err != nil; e = next() { // a half-written file may be seen first
		if e.err == nil && e.n > 0 {
			t.Fatal(e)
		}
	}
	write("rules: [{}]")
	for e := next(); e.err == nil; e = next() {
		if e.n > 0 {
			t.Fatal(e)
		}
	}
}

// People who look at what is asked for need not be allowed to see rows.
func TestRouter_ShowsPrefixesWithoutRowData(t *testing.T) {
	plain := New("shop", "S", mustParse(t, Default), nil)
	keyed := New("shop", "S", mustParse(t, "{table}/{op}/{key}/"), nil)
	for _, r := range []*Router{plain, keyed} {
		rec, mod := change("Orders", changestream.ModUpdate, []any{"secret"})
		topicsOf(t, r, rec, mod)
	}
	for prefix, want := range map[string]string{
		"": "", "Orders/": "Orders/", "Orders/UPDATE/": "Orders/UPDATE/", "Orders/UPDATE/secret/": "Orders/UPDATE/…", "Orders/sec": "Orders/…", "secret/": "…",
	} {
		if got := keyed.Shown(prefix); got != want {
			t.Errorf("%q is shown as %q, want %q", prefix, got, want)
		}
		if got := plain.Shown(prefix); got != prefix {
			t.Errorf("%q, with topics that are not made of rows, is shown as %q", prefix, got)
		}
	}
}
