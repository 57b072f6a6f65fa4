package conformance

import (
	"encoding/json"
	"math"
	"math/big"
	"time"

	"cloud.google.com/go/spanner"
)

func numeric(text string) spanner.NullNumeric {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return spanner.NullNumeric{}
	}
	return spanner.NullNumeric{Numeric: *r, Valid: true}
}

func pgNumeric(text string) spanner.PGNumeric { return spanner.PGNumeric{Numeric: text, Valid: true} }

func pgNumerics(texts ...string) []spanner.PGNumeric {
	var out []spanner.PGNumeric
	for _, text := range texts {
		out = append(out, pgNumeric(text))
	}
	return out
}

func jsonObject(text string) spanner.NullJSON {
	return spanner.NullJSON{Value: decoded(text), Valid: true}
}

func pgJSON(text string) spanner.PGJsonB {
	return spanner.PGJsonB{Value: decoded(text), Valid: true}
}

func decoded(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil
	}
	return v
}

const pgColumns = "int_val:INT64#1*, bool_val:BOOL#2, bytes_val:BYTES#3, date_val:DATE#4, double_val:FLOAT64#5, string_val:STRING#6, timestamp_val:TIMESTAMP#7, " +
	"jsonb_val:PG_JSONB#8, jsonb_arr:ARRAY<PG_JSONB>#9, numeric_val:PG_NUMERIC#10, numeric_arr:ARRAY<PG_NUMERIC>#11, float_val:FLOAT32#12"

// pgTypeCases is section F, and the part of G that is about PostgreSQL types.
func pgTypeCases() []Case {
	epoch := time.Unix(0, 0).UTC()
	row := Txn{insert("scalar_types_table", "int_val", 1, "bytes_val", base64Bytes("blue"), "date_val", day(2014), "double_val", 1.1,
		"timestamp_val", epoch, "jsonb_val", pgJSON(`"3"`), "jsonb_arr", []spanner.PGJsonB{pgJSON(`"1"`), pgJSON(`"2"`)},
		"numeric_val", pgNumeric("111.1"), "numeric_arr", pgNumerics("123.45", "678.9"), "float_val", float32(3.14))}
	edit := Txn{update("scalar_types_table", "int_val", 1, "bool_val", true, "bytes_val", base64Bytes("Zm9vYmFy"), "date_val", day(2015), "double_val", 2.2,
		"string_val", "hello", "timestamp_val", spanner.NullTime{}, "jsonb_val", pgJSON(`{"b": [1], "a": [2]}`), "jsonb_arr", []spanner.PGJsonB(nil),
		"numeric_val", pgNumeric("999.9"), "numeric_arr", pgNumerics("88", "77"), "float_val", float32(3.14))}
	want := func(modType, n string) []StreamWant {
		return []StreamWant{on("StreamAll", rec(modType, "scalar_types_table", newValues, pgColumns, Mod{`{"int_val":"1"}`, n, `{}`}))}
	}
	cases := []Case{
		{ID: 75, Name: "PGInsertEveryType", Txns: []Txn{row},
			Want: want("INSERT", `{"bool_val":null,"bytes_val":"blue","date_val":"2014-09-27","double_val":1.1,"float_val":3.140000104904175,
				"jsonb_arr":["\"1\"","\"2\""],"jsonb_val":"\"3\"","numeric_arr":["123.45","678.9"],"numeric_val":"111.1","string_val":null,"timestamp_val":"1970-01-01T00:00:00Z"}`)},
		{ID: 76, Name: "PGUpdateEveryType", Setup: []Txn{row}, Txns: []Txn{edit},
			Want: want("UPDATE", `{"bool_val":true,"bytes_val":"Zm9vYmFy","date_val":"2015-09-27","double_val":2.2,"float_val":3.140000104904175,
				"jsonb_arr":null,"jsonb_val":"{\"a\": [2], \"b\": [1]}","numeric_arr":["88","77"],"numeric_val":"999.9","string_val":"hello","timestamp_val":null}`)},
		{ID: 77, Name: "PGDelete", Setup: []Txn{row}, Txns: []Txn{{remove("scalar_types_table", 1)}}, Want: want("DELETE", `{}`)},
		{ID: 78, Name: "PGEveryTypeAsKey",
			Txns: []Txn{{insert("all_keys", "int_val", 1, "bool_val", true, "bytes_val", base64Bytes("blue"), "date_val", day(2014), "double_val", 1.1,
				"string_val", "test_str", "timestamp_val", epoch)}},
			Want: []StreamWant{on("StreamAll", rec("INSERT", "all_keys", newValues,
				"int_val:INT64#1*, bool_val:BOOL#2*, bytes_val:BYTES#3*, date_val:DATE#4*, double_val:FLOAT64#5*, string_val:STRING#6*, timestamp_val:TIMESTAMP#7*",
				Mod{`{"bool_val":true,"bytes_val":"blue","date_val":"2014-09-27","double_val":1.1,"int_val":"1","string_val":"test_str","timestamp_val":"1970-01-01T00:00:00Z"}`, `{}`, `{}`}))}},
		{ID: 79, Name: "PGNewRowAndOldValues", Txns: []Txn{{insert("t", "id", 1, "a", "x", "arr", []int64{1})}, {update("t", "id", 1, "a", "y")}},
			Want: []StreamWant{{Stream: "StreamRow", Records: [][]Record{
				{rec("INSERT", "t", newRowAndOld, pgT, Mod{`{"id":"1"}`, `{"a":"x","arr":["1"],"b":null,"f":null,"j":null,"n":null,"ts":null}`, `{}`})},
				{rec("UPDATE", "t", newRowAndOld, pgT, Mod{`{"id":"1"}`, `{"a":"y","arr":["1"],"b":null,"f":null,"j":null,"n":null,"ts":null}`, `{"a":"x"}`})}}}}},
		{ID: 87, Name: "PGNumbersInJSONAndArrays",
			Txns: []Txn{{insert("scalar_types_table", "int_val", 1, "jsonb_val", pgJSON("2024"), "jsonb_arr", []spanner.PGJsonB{pgJSON("1"), pgJSON("2")},
				"numeric_val", pgNumeric("11"), "numeric_arr", pgNumerics("22", "33"))}},
			Want: want("INSERT", `{"bool_val":null,"bytes_val":null,"date_val":null,"double_val":null,"float_val":null,"jsonb_arr":["1","2"],"jsonb_val":"2024",
				"numeric_arr":["22","33"],"numeric_val":"11","string_val":null,"timestamp_val":null}`)},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaPG(), postgresOnly()
	}
	return cases
}

const pgT = "id:INT64#1*, a:STRING#2, b:BOOL#3, n:PG_NUMERIC#4, f:FLOAT64#5, ts:TIMESTAMP#6, j:PG_JSONB#7, arr:ARRAY<INT64>#8"

// groupingCases is section G as far as it shows through the API, where the
// operations on one row are folded into one before records are made: the
// sheet's operations are spread over rows that do not fold.
func groupingCases() []Case {
	const ab, a, b = "Id:INT64#1*, A:STRING#2, B:STRING#3", "Id:INT64#1*, A:STRING#2", "Id:INT64#1*, B:STRING#3"
	id := func(n string) string { return `{"Id":"` + n + `"}` }
	row := func(n string) Mod { return Mod{id(n), `{"A":"a","B":"b"}`, `{}`} }
	full := func(op func(string, ...any) Op, n int) Op { return op("T1", "Id", n, "A", "a", "B", "b") }
	ins := func(mods ...Mod) Record { return rec("INSERT", "T1", newValues, ab, mods...) }
	upd := rec("UPDATE", "T1", newValues, ab, row("11"), row("12"))
	del := rec("DELETE", "T1", newValues, ab, Mod{id("21"), `{}`, `{}`}, Mod{id("22"), `{}`, `{}`})
	t2 := rec("INSERT", "T2", newValues, a, Mod{id("1"), `{"A":"x"}`, `{}`})
	byKey := "records of a transaction come by table and key"
	executed := "records come in the order of execution"
	cases := []Case{
		{ID: 80, Name: "ConsecutiveModsShareARecord",
			Setup: []Txn{{full(insert, 11), full(insert, 12), full(insert, 21), full(insert, 22)}},
			Txns:  []Txn{{full(insert, 1), full(insert, 2), full(update, 11), full(update, 12), full(insert, 3), remove("T1", 21), remove("T1", 22)}},
			Want:  []StreamWant{on("StreamAll", ins(row("1"), row("2")), upd, ins(row("3")), del)},
			Google: &Difference{Reason: byKey, Rule: executed,
				Want: []StreamWant{on("StreamAll", ins(row("1"), row("2"), row("3")), upd, del)}}},
		{ID: 81, Name: "TablesBreakARecord", AnyOrder: true,
			Txns: []Txn{{full(insert, 1), insert("T2", "Id", 1, "A", "x"), full(insert, 2)}},
			Want: []StreamWant{on("StreamAll", ins(row("1")), t2, ins(row("2")))},
			Google: &Difference{Reason: byKey, Rule: executed,
				Want: []StreamWant{on("StreamAll", ins(row("1"), row("2")), t2)}}},
		{ID: 82, Name: "ColumnSetsBreakARecord", Setup: []Txn{{full(insert, 1), full(insert, 2), full(insert, 3)}},
			Txns: []Txn{{update("T1", "Id", 1, "B", "x"), update("T1", "Id", 2, "A", "y"), update("T1", "Id", 3, "B", "z")}},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "T1", newValues, b, Mod{id("1"), `{"B":"x"}`, `{}`}),
				rec("UPDATE", "T1", newValues, a, Mod{id("2"), `{"A":"y"}`, `{}`}), rec("UPDATE", "T1", newValues, b, Mod{id("3"), `{"B":"z"}`, `{}`}))}},
		{ID: 83, Name: "InsertsOfDifferentColumnsShareARecord", Txns: []Txn{{insert("T1", "Id", 1, "A", "x"), insert("T1", "Id", 2, "B", "y")}},
			Want: []StreamWant{on("StreamAll", ins(Mod{id("1"), `{"A":"x","B":null}`, `{}`}, Mod{id("2"), `{"A":null,"B":"y"}`, `{}`}))}},
		{ID: 84, Name: "UnwatchedColumnShowsInInsertAndDeleteOnly",
			Txns: []Txn{{insert("T1", "Id", 1, "B", "x")}, {update("T1", "Id", 1, "B", "y")}, {remove("T1", 1)}},
			Want: []StreamWant{{Stream: "StreamA", Records: [][]Record{{rec("INSERT", "T1", newValues, a, Mod{id("1"), `{"A":null}`, `{}`})}, nil,
				{rec("DELETE", "T1", newValues, a, Mod{id("1"), `{}`, `{}`})}}}}},
		{ID: 85, Name: "StreamsCountForThemselves",
			Txns: []Txn{{insert("T1", "Id", 1, "A", "a"), insert("T1", "Id", 2, "A", "b"), insert("T1", "Id", 3, "A", "c"), insert("T2", "Id", 1, "A", "x")}},
			Want: []StreamWant{on("StreamA", rec("INSERT", "T1", newValues, a, Mod{id("1"), `{"A":"a"}`, `{}`}, Mod{id("2"), `{"A":"b"}`, `{}`}, Mod{id("3"), `{"A":"c"}`, `{}`})),
				on("StreamT2", t2)}},
		{ID: 86, Name: "FloatsKeepTheirWidth",
			Txns: []Txn{{insert("Floats", "Id", 1, "float_col", float32(1.1), "double_col", 2.2, "float_arr", []float32{1.1, 3.14}, "double_arr", []float64{2.2, 2.71})}},
			Want: []StreamWant{on("StreamAll", rec("INSERT", "Floats", newValues,
				"Id:INT64#1*, float_col:FLOAT32#2, double_col:FLOAT64#3, float_arr:ARRAY<FLOAT32>#4, double_arr:ARRAY<FLOAT64>#5",
				Mod{id("1"), `{"double_arr":[2.2,2.71],"double_col":2.2,"float_arr":[1.100000023841858,3.140000104904175],"float_col":1.100000023841858}`, `{}`}))}},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaGrouping(), both()
	}
	return cases
}

const vColumns = "Id:INT64#1*, F:FLOAT64#2, Ints:ARRAY<INT64>#3, Strings:ARRAY<STRING>#4, Bools:ARRAY<BOOL>#5, Floats:ARRAY<FLOAT64>#6, " +
	"Times:ARRAY<TIMESTAMP>#7, Blobs:ARRAY<BYTES>#8, Made:TIMESTAMP#9, Data:BYTES#10, N:NUMERIC#11"

// valueCases is section N as far as it is about data records.
func valueCases() []Case {
	// v is the row as recorded, with the named members replaced.
	v := func(members ...string) StreamWant {
		row := map[string]json.RawMessage{}
		for _, name := range []string{"F", "Ints", "Strings", "Bools", "Floats", "Times", "Blobs", "Made", "Data", "N"} {
			row[name] = json.RawMessage("null")
		}
		for i := 0; i < len(members); i += 2 {
			row[members[i]] = json.RawMessage(members[i+1])
		}
		text, err := json.Marshal(row)
		if err != nil {
			text = []byte(err.Error())
		}
		return on("StreamV", rec("INSERT", "V", newValues, vColumns, Mod{`{"Id":"1"}`, string(text), `{}`}))
	}
	one := func(pairs ...any) []Txn { return []Txn{{insert("V", append([]any{"Id", 1}, pairs...)...)}} }
	cases := []Case{
		{ID: 158, Name: "NaNIsAString", Txns: one("F", math.NaN(), "Floats", []float64{math.Inf(1), math.Inf(-1)}),
			Want: []StreamWant{v("F", `"NaN"`, "Floats", `["Infinity","-Infinity"]`)},
			Google: &Difference{Reason: "NaN and infinities come out as null", Rule: "the JSON encoding of query results",
				Want: []StreamWant{v("Floats", `[null,null]`)}}},
		{ID: 159, Name: "NullInAnIntArray", Txns: one("Ints", []spanner.NullInt64{{Int64: 1, Valid: true}, {}}),
			Want: []StreamWant{v("Ints", `["1",null]`)},
			Google: &Difference{Reason: `a NULL element becomes the string "NULL"`, Rule: "a NULL element is null",
				Want: []StreamWant{v("Ints", `["1","NULL"]`)}}},
		{ID: 160, Name: "NullInOtherArrays",
			Txns: one("Strings", []spanner.NullString{{StringVal: "a", Valid: true}, {}}, "Bools", []spanner.NullBool{{}, {Bool: true, Valid: true}},
				"Floats", []spanner.NullFloat64{{}}, "Times", []spanner.NullTime{{}}, "Blobs", [][]byte{nil}),
			Want:   []StreamWant{v("Strings", `["a",null]`, "Bools", `[null,true]`, "Floats", `[null]`, "Times", `[null]`, "Blobs", `[null]`)},
			Google: &Difference{Reason: "the process ends at commit", Rule: "a NULL element is null"}},
		{ID: 161, Name: "CommitTimestampColumn", Txns: one("Made", spanner.CommitTimestamp),
			Want: []StreamWant{v("Made", `"$COMMIT"`)},
			Google: &Difference{Reason: "the placeholder's own value is recorded", Rule: "the commit timestamp",
				Want: []StreamWant{v("Made", `"9999-12-31T23:59:59Z"`)}}},
		{ID: 162, Name: "TimestampsKeepNanoseconds", Txns: one("Made", time.Date(2024, 1, 2, 3, 4, 5, 123456789, time.UTC)),
			Want: []StreamWant{v("Made", `"2024-01-02T03:04:05.123456789Z"`)},
			Google: &Difference{Reason: "the fraction is cut off", Rule: "full precision",
				Want: []StreamWant{v("Made", `"2024-01-02T03:04:05Z"`)}}},
		{ID: 163, Name: "EmptyIsNotNull", Txns: one("Data", []byte{}, "Ints", []int64{}, "Strings", []string{}),
			Want: []StreamWant{v("Data", `""`, "Ints", `[]`, "Strings", `[]`)}},
		{ID: 164, Name: "TokenListIsAbsent", Txns: []Txn{{insert("Docs", "Id", 1, "Body", "some text")}},
			Want: []StreamWant{on("StreamAll", rec("INSERT", "Docs", newValues, "Id:INT64#1*, Body:STRING#2", Mod{`{"Id":"1"}`, `{"Body":"some text"}`, `{}`}))}},
		{ID: 165, Name: "TransactionTag", Txns: one("F", 1.5), Tag: "mytag",
			Want: []StreamWant{tagged("mytag", v("F", `1.5`))},
			Google: &Difference{Reason: "transaction_tag is always empty", Rule: "the transaction's tag",
				Want: []StreamWant{v("F", `1.5`)}}},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaValues(), googleOnly()
	}
	return cases
}

func tagged(tag string, want StreamWant) StreamWant {
	for _, records := range want.Records {
		for i := range records {
			records[i].Tag = tag
		}
	}
	return want
}
