package recovery_test

import (
	"context"
	"encoding/json"
	"math"
	"math/big"
	"testing"
	"time"

	"cloud.google.com/go/civil"
	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
)

var googleTypes = []string{
	`CREATE TABLE Types (K INT64 NOT NULL, K2 STRING(MAX), B BOOL, Y BYTES(MAX), D DATE, F FLOAT64, F4 FLOAT32, S STRING(MAX), N NUMERIC, T TIMESTAMP, J JSON,
	 G STRING(MAX) AS (LOWER(S)) STORED, AI ARRAY<INT64>, AS1 ARRAY<STRING(MAX)>, AF ARRAY<FLOAT64>, AB ARRAY<BYTES(MAX)>, ATS ARRAY<TIMESTAMP>, AJ ARRAY<JSON>, AN ARRAY<NUMERIC>) PRIMARY KEY (K2 DESC, K)`,
	`CREATE TABLE Part (Other INT64, Id INT64 NOT NULL, Seen STRING(MAX), Unseen STRING(MAX)) PRIMARY KEY (Id)`,
	`CREATE TABLE Keys (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`,
	`CREATE CHANGE STREAM ` + testStream + ` FOR Types, Part(Seen), Keys()`,
}

var postgresTypes = []string{
	`CREATE TABLE "Types" ("K" bigint NOT NULL, "K2" varchar NOT NULL, "B" boolean, "Y" bytea, "D" date, "F" float8, "F4" float4, "S" varchar, "N" numeric, "T" timestamptz, "J" jsonb,
	 "G" varchar GENERATED ALWAYS AS (LOWER("S")) STORED, "AI" bigint[], "AS1" varchar[], "AF" float8[], "AB" bytea[], "ATS" timestamptz[], "AJ" jsonb[], "AN" numeric[], PRIMARY KEY ("K2", "K"))`,
	`CREATE TABLE "Part" ("Other" bigint, "Id" bigint NOT NULL, "Seen" varchar, "Unseen" varchar, PRIMARY KEY ("Id"))`,
	`CREATE TABLE "Keys" ("Id" bigint NOT NULL, "V" bigint, PRIMARY KEY ("Id"))`,
	`CREATE CHANGE STREAM "` + testStream + `" FOR "Types", "Part"("Seen"), "Keys"()`,
}

// typeRows are rows of the table Types. Those that are odd hold what Google's
// emulator records in other ways than Spanner does; package conformance lists
// them.
func typeRows(pg, odd bool) (rows []map[string]any) {
	numeric := func(text string) any {
		if pg {
			return spanner.PGNumeric{Numeric: text, Valid: true}
		}
		r, _ := new(big.Rat).SetString(text)
		return *r
	}
	document := func(v any) any {
		if pg {
			return spanner.PGJsonB{Value: v, Valid: true}
		}
		return spanner.NullJSON{Value: v, Valid: true}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rows = append(rows,
		map[string]any{"K": 1, "K2": "a/b \"c\" \\ ä\t<&>\u2028"},
		map[string]any{"K": -1, "K2": "", "B": true, "Y": []byte{0, 255, 3}, "D": civil.Date{Year: 2024, Month: 2, Day: 29}, "F": 1.25, "F4": float32(2.5), "S": "it's \"ü\" \u0001",
			"N": numeric("-123.456"), "T": at, "J": document(map[string]any{"b": []any{1, "x", nil}, "a": 1.5}), "AI": []int64{1, -2}, "AS1": []string{"", "x"},
			"AF": []float64{0.5, 1e300}, "AB": [][]byte{{1}}, "ATS": []time.Time{at}},
		map[string]any{"K": math.MaxInt64, "K2": "x", "B": false, "Y": []byte{}, "F": -0.1, "S": "", "N": numeric("0"), "AI": []int64{}},
	)
	if pg {
		rows[1]["AJ"], rows[1]["AN"] = []spanner.PGJsonB{{Value: map[string]any{"a": 1}, Valid: true}}, []spanner.PGNumeric{{Numeric: "1.5", Valid: true}}
	} else {
		rows[1]["AJ"], rows[1]["AN"] = []spanner.NullJSON{{Value: map[string]any{"a": 1}, Valid: true}}, []*big.Rat{big.NewRat(3, 2)}
	}
	if !odd {
		return rows
	}
	for i, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e-7, 1e21, 5e-324, math.MaxFloat64} {
		rows = append(rows, map[string]any{"K": 100 + i, "K2": "f", "F": f, "F4": float32(f), "AF": []spanner.NullFloat64{{Float64: f, Valid: true}, {}}})
	}
	return append(rows, map[string]any{"K": 200, "K2": "n", "F4": float32(1.1), "T": at.Add(678901234), "AI": []spanner.NullInt64{{Int64: 1, Valid: true}, {}}, "AS1": []spanner.NullString{{}},
		"ATS": []spanner.NullTime{{}}})
}

// The keys, values and schema of a row are, byte for byte, those of the change
// that inserted it: of every type, of a table that is watched in part, and of one
// of which only the keys are.
func TestSnapshot_EncodesRowsAsChangesDo(t *testing.T) {
	t.Parallel()
	for dialect, ddl := range map[emulator.Dialect][]string{emulator.GoogleSQL: googleTypes, emulator.PostgreSQL: postgresTypes} {
		pg := dialect == emulator.PostgreSQL
		t.Run("embedded/"+string(dialect), func(t *testing.T) {
			t.Parallel()
			compareTypes(t, newFixture(t, emulator.Options{}, dialect, ddl...), typeRows(pg, true))
		})
		t.Run("google/"+string(dialect), func(t *testing.T) {
			t.Parallel()
			d := databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL
			if pg {
				d = databasepb.DatabaseDialect_POSTGRESQL
			}
			compareTypes(t, onGoogle(t, d, ddl...), typeRows(pg, false))
		})
	}
}

func compareTypes(t *testing.T, f *fixture, rows []map[string]any) {
	f.serve()
	var mutations []*spanner.Mutation
	for i, row := range rows {
		mutations = append(mutations, spanner.InsertMap("Types", row), spanner.Insert("Keys", []string{"Id", "V"}, []any{i, i}),
			spanner.InsertMap("Part", map[string]any{"Id": i, "Other": i, "Seen": "s", "Unseen": "u"}))
	}
	at, err := f.db.Apply(context.Background(), mutations)
	must(t, err)
	type part struct{ Schema, Keys, New string }
	of := func(m *answered) (string, part) {
		var mods struct {
			Keys json.RawMessage `json:"keys"`
			New  json.RawMessage `json:"new_values"`
			Old  json.RawMessage `json:"old_values"`
		}
		must(t, json.Unmarshal([]byte(m.body), &mods))
		if string(mods.Old) != "{}" {
			t.Errorf("old values %s", mods.Old)
		}
		return m.attrs.Table + string(mods.Keys), part{m.attrs.Schema, string(mods.Keys), string(mods.New)}
	}
	c := f.client()
	want := make(map[string]part)
	for _, m := range changes(c.replay(message.ReplayRequest{From: message.FormatTime(at), To: message.Now})) {
		row, p := of(m)
		want[row] = p
	}
	read := changes(c.snapshot(message.SnapshotRequest{}))
	if len(read) != 3*len(rows) || len(want) != 3*len(rows) {
		t.Errorf("%d rows, %d changes, want %d", len(read), len(want), 3*len(rows))
	}
	for _, m := range read {
		if row, got := of(m); got != want[row] {
			t.Errorf("%s\nread    %+v\nchanged %+v", row, got, want[row])
		}
	}
}
