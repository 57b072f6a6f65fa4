package conformance

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Record is a data change record as every collector hands it over, whatever
// it was read from.
type Record struct {
	CommitTimestamp     time.Time
	Sequence            string // record_sequence
	ServerTransactionID string
	Last                bool // is_last_record_in_transaction_in_partition
	Table               string
	Columns             []Column // in the order sent
	Mods                []Mod
	ModType             string // INSERT, UPDATE, DELETE
	CaptureType         string // value_capture_type
	NumberOfRecords     int64
	NumberOfPartitions  int64
	Tag                 string
	System              bool
}

// Column is one element of column_types.
type Column struct {
	Name    string
	Type    string // JSON, for example {"code":"INT64"}
	Key     bool
	Ordinal int64
}

// Mod is one row change; the three values are JSON objects.
type Mod struct{ Keys, New, Old string }

// columns parses the notation of the case tables, "Id:INT64#1*, Name:STRING#2":
// name, type, ordinal position, and a star on primary-key columns.
func columns(text string) []Column {
	var out []Column
	for field := range strings.SplitSeq(text, ", ") {
		field, key := strings.CutSuffix(field, "*")
		name, rest, _ := strings.Cut(field, ":")
		typ, ordinal, _ := strings.Cut(rest, "#")
		n, _ := strconv.ParseInt(ordinal, 10, 64)
		out = append(out, Column{Name: name, Type: typeJSON(typ), Key: key, Ordinal: n})
	}
	return out
}

// typeJSON spells a type as column_types does. PG_JSONB and PG_NUMERIC stand
// for the annotated types of the PostgreSQL dialect.
func typeJSON(name string) string {
	if element, ok := strings.CutPrefix(name, "ARRAY<"); ok {
		return `{"code":"ARRAY","array_element_type":` + typeJSON(strings.TrimSuffix(element, ">")) + `}`
	}
	switch name {
	case "PG_JSONB":
		return `{"code":"JSON","type_annotation":"PG_JSONB"}`
	case "PG_NUMERIC":
		return `{"code":"NUMERIC","type_annotation":"PG_NUMERIC"}`
	}
	return `{"code":"` + name + `"}`
}

// diff lists how got differs from want in everything but time, transaction id
// and the numbering, which belong to the whole transaction.
func (want Record) diff(got Record) []string {
	var faults []string
	check := func(what string, w, g any) {
		if !reflect.DeepEqual(w, g) {
			faults = append(faults, fmt.Sprintf("%s: got %v, want %v", what, g, w))
		}
	}
	check("table", want.Table, got.Table)
	check("mod_type", want.ModType, got.ModType)
	check("value_capture_type", want.CaptureType, got.CaptureType)
	check("transaction_tag", want.Tag, got.Tag)
	check("is_system_transaction", want.System, got.System)
	check("column_types", canonical(want.Columns), canonical(got.Columns))
	check("number of mods", len(want.Mods), len(got.Mods))
	for i := range min(len(want.Mods), len(got.Mods)) {
		w, g := want.Mods[i], got.Mods[i]
		check(fmt.Sprintf("mod %d keys", i), canonicalJSON(w.Keys), canonicalJSON(g.Keys))
		check(fmt.Sprintf("mod %d new_values", i), canonicalJSON(w.New), canonicalJSON(g.New))
		check(fmt.Sprintf("mod %d old_values", i), canonicalJSON(w.Old), canonicalJSON(g.Old))
	}
	return faults
}

func canonical(columns []Column) []Column {
	out := make([]Column, len(columns))
	for i, c := range columns {
		c.Type = canonicalJSON(c.Type)
		out[i] = c
	}
	return out
}

// canonicalJSON brings a JSON text into one spelling, so that texts compare as
// values do; what is not JSON stays itself and so differs from all that is.
func canonicalJSON(text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "not JSON: " + text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return "not JSON: " + text
	}
	return string(out)
}
