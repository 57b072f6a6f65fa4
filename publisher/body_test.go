package publisher

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/spancast/spancast/changestream"
)

var testInfo = changestream.Info{Database: "projects/p/instances/i/databases/shop", Stream: "Everything"}

var commitTime = time.Date(2026, 11, 20, 9, 54, 0, 123456000, time.UTC)

func userSchema() *changestream.Schema {
	column := func(name, code string, ordinal int64) changestream.Column {
		return changestream.Column{Name: name, Type: json.RawMessage(`{"code":"` + code + `"}`), OrdinalPosition: ordinal, IsPrimaryKey: ordinal == 1}
	}
	s := &changestream.Schema{Table: "Users", Hash: "00112233aabbccdd", Columns: []changestream.Column{
		column("id", "INT64", 1), column("first_name", "STRING", 2), column("last_name", "STRING", 3), column("email", "STRING", 4),
	}}
	s.Columns = append(s.Columns, changestream.Column{Name: "scores", Type: json.RawMessage(`{"array_element_type":{"code":"INT64"},"code":"ARRAY"}`), OrdinalPosition: 5})
	return s
}

func testChange(op changestream.ModType, newValues, oldValues string) *Change {
	rec := &changestream.DataChangeRecord{
		CommitTimestamp: commitTime, ServerTransactionID: []byte("NTQ5MTAx"), RecordSequence: []byte("00000000"), LastInTransaction: true,
		Schema: userSchema(), ModType: op, ValueCaptureType: changestream.OldAndNewValues, RecordsInTransaction: 2, PartitionsInTransaction: 1,
		Mods: []changestream.Mod{{Keys: []byte(`{"id":"1"}`), NewValues: []byte(newValues), OldValues: []byte(oldValues)}},
	}
	return &Change{Record: rec, Mod: &rec.Mods[0], Version: []byte("2026-11-20T09:54:00.123456000Z/NTQ5MTAx/00000000/0"), Partition: "token"}
}

func appendBody(t *testing.T, b Body, c *Change) []byte {
	t.Helper()
	out, err := b.Append([]byte("kept"), c)
	if err != nil || string(out[:4]) != "kept" {
		t.Fatalf("%s, %v", out, err)
	}
	return out[4:]
}

func parse(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

const created = `{"first_name":"Ada","last_name":"Lovelace","email":"ada@example.com"}`

func TestNative_PassesValuesByteForByte(t *testing.T) {
	odd := `{ "first_name" : "A\u0064a" , "x":1.50 }`
	got := appendBody(t, Native{}, testChange(changestream.ModUpdate, odd, `null`))
	if want := `{"keys":{"id":"1"},"new_values":` + odd + `,"old_values":null}`; string(got) != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestCloudEvents_AreValidForTheSDK(t *testing.T) {
	c := testChange(changestream.ModInsert, created, `{}`)
	c.Record.Schema.Table, c.Mod.Keys = `odd"table`, []byte(`{"id":"a/b"}`)
	got := appendBody(t, NewCloudEvents(testInfo), c)
	var e cloudevents.Event
	if err := json.Unmarshal(got, &e); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := e.Validate(); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	for what, pair := range map[string][2]string{
		"specversion": {e.SpecVersion(), "1.0"},
		"id":          {e.ID(), string(c.Version)},
		"source":      {e.Source(), "//spanner.googleapis.com/projects/p/instances/i/databases/shop/changeStreams/Everything"},
		"type":        {e.Type(), "spancast.change"},
		"subject":     {e.Subject(), `odd"table/a%2Fb`},
		"time":        {e.Time().Format(time.RFC3339Nano), "2026-11-20T09:54:00.123456Z"},
		"data":        {string(e.Data()), `{"keys":{"id":"a/b"},"new_values":` + created + `,"old_values":{}}`},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
}

// TestDebezium_HasTheFieldsOfARecordedEnvelope compares, field by field, with
// the envelope of an insert as Debezium's documentation shows it.
func TestDebezium_HasTheFieldsOfARecordedEnvelope(t *testing.T) {
	recorded, err := os.ReadFile("testdata/debezium_envelope.json")
	if err != nil {
		t.Fatal(err)
	}
	d := NewDebezium(testInfo, "3.6.0.Final")
	d.now = func() time.Time { return time.UnixMilli(1795168440200) }
	d.head = d.head[:len(`"version":"3.6.0.Final","connector":"spanner",`)] + `"name":"shop",` + d.head[len(`"version":"3.6.0.Final","connector":"spanner","name":"Everything",`):]
	got, want := parse(t, appendBody(t, d, testChange(changestream.ModInsert, created, `{}`))), parse(t, recorded)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

func TestDebezium_StatesOfTheRow(t *testing.T) {
	for name, c := range map[string]struct {
		op                changestream.ModType
		newValues, old    string
		wantOp            string
		wantBefore, after string
	}{
		"insert":                {changestream.ModInsert, `{"email":"a","scores":["1","2"]}`, `{}`, "c", `null`, `{"id":1,"email":"a","scores":[1,2]}`},
		"update":                {changestream.ModUpdate, `{"email":"b"}`, `{"email":"a"}`, "u", `{"id":1,"email":"a"}`, `{"id":1,"email":"b"}`},
		"update, no old values": {changestream.ModUpdate, `{"email":null,"scores":null}`, `{}`, "u", `null`, `{"id":1,"email":null,"scores":null}`},
		"update, old null":      {changestream.ModUpdate, `{}`, `null`, "u", `null`, `{"id":1}`},
		"delete":                {changestream.ModDelete, `{}`, `{"email":"b"}`, "d", `{"id":1,"email":"b"}`, `null`},
		"delete, keys only":     {changestream.ModDelete, `{}`, `{}`, "d", `{"id":1}`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, appendBody(t, NewDebezium(testInfo, "v"), testChange(c.op, c.newValues, c.old)))
			before, _ := json.Marshal(got["before"])
			after, _ := json.Marshal(got["after"])
			if got["op"] != c.wantOp || !sameJSON(before, c.wantBefore) || !sameJSON(after, c.after) {
				t.Errorf("op %v, before %s, after %s", got["op"], before, after)
			}
		})
	}
}

func sameJSON(a []byte, b string) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestDebezium_RefusesValuesThatAreNotJSON(t *testing.T) {
	if out, err := NewDebezium(testInfo, "v").Append(nil, testChange(changestream.ModInsert, `{"email":`, `{}`)); err == nil {
		t.Fatalf("%s", out)
	}
}
