package changestream_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/mutants"
	"github.com/spancast/spancast/test/oracle"
)

func oneFrame(t testing.TB, column *spannerpb.Type, rows ...*structpb.Value) []byte {
	return frameBytes(t, &spannerpb.PartialResultSet{Metadata: oracle.Metadata(column), Values: rows})
}

// row writes a value as JSON, for shapes that the builders do not make.
func row(t testing.TB, text string) *structpb.Value {
	v := new(structpb.Value)
	if err := protojson.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDecoder_FindsFieldsByNameAndPassesOverUnknownOnes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		r := randomRecord(rnd, []string{"data", "heartbeat", "children"}[rnd.IntN(3)])
		column, v := oracle.StructColumn(), oracle.StructRow(r)
		shuffle(rnd, column, v)
		got, err := readAll([][]byte{oneFrame(t, column, v)})
		if err != nil || !reflect.DeepEqual(got, []oracle.Record{r}) {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, r)
		}
	}
}

// shuffle permutes the fields of every struct in an array of structs, and adds
// one that nobody knows, as record_type is in examples of the documentation.
func shuffle(rnd *rand.Rand, array *spannerpb.Type, v *structpb.Value) {
	st := array.GetArrayElementType().GetStructType()
	if st == nil {
		return
	}
	st.Fields = append(st.Fields, &spannerpb.StructType_Field{Name: "record_type", Type: &spannerpb.Type{Code: spannerpb.TypeCode_STRING}})
	order := rnd.Perm(len(st.Fields))
	fields := make([]*spannerpb.StructType_Field, len(order))
	for to, from := range order {
		fields[to] = st.Fields[from]
	}
	for _, element := range v.GetListValue().GetValues() {
		old := append(element.GetListValue().Values, structpb.NewNumberValue(7))
		values := make([]*structpb.Value, len(order))
		for to, from := range order {
			values[to] = old[from]
		}
		element.GetListValue().Values = values
	}
	st.Fields = fields
	for i, f := range fields {
		var inner []*structpb.Value
		for _, element := range v.GetListValue().GetValues() {
			inner = append(inner, element.GetListValue().Values[i].GetListValue().GetValues()...)
		}
		shuffle(rnd, f.Type, structpb.NewListValue(&structpb.ListValue{Values: inner}))
	}
}

func TestDecoder_TakesNullForEmpty(t *testing.T) {
	heartbeat := oracle.Record{Kind: "heartbeat", CommitTimestamp: at(5)}
	children := oracle.Record{Kind: "children", CommitTimestamp: at(6), RecordSequence: "00000000", Children: []oracle.Child{{Token: "a"}}}
	for name, c := range map[string]struct {
		column *spannerpb.Type
		row    string
		want   []oracle.Record
	}{
		"null arrays beside a heartbeat": {oracle.StructColumn(), `[[null,[["2026-11-20T09:54:00.000005Z"]],null]]`, []oracle.Record{heartbeat}},
		"[NULL] parents":                 {oracle.StructColumn(), `[[[],[],[["2026-11-20T09:54:00.000006Z","00000000",[["a",[null]]]]]]]`, []oracle.Record{children}},
		"null parents":                   {oracle.StructColumn(), `[[[],[],[["2026-11-20T09:54:00.000006Z","00000000",[["a",null]]]]]]`, []oracle.Record{children}},
		"a null row":                     {oracle.StructColumn(), `null`, nil},
		"an empty row":                   {oracle.StructColumn(), `[]`, nil},
		"a row of three empty arrays":    {oracle.StructColumn(), `[[[],[],[]]]`, nil},
		"a null json row":                {oracle.JSONColumn(), `null`, nil},
		"json null members":              {oracle.JSONColumn(), `"{\"data_change_record\":null,\"heartbeat_record\":{\"timestamp\":\"2026-11-20T10:54:00.000005+01:00\"}}"`, []oracle.Record{heartbeat}},
		"json [null] parents":            {oracle.JSONColumn(), `"{\"child_partitions_record\":[{\"start_timestamp\":\"2026-11-20T09:54:00.000006Z\",\"record_sequence\":\"00000000\",\"child_partitions\":[{\"token\":\"a\",\"parent_partition_tokens\":[null]}]}]}"`, []oracle.Record{children}},
		"an unknown json record":         {oracle.JSONColumn(), `"{\"new_kind_of_record\":{\"a\":[1,2]}}"`, nil},
		"a null proto":                   {oracle.ProtoColumn(), `null`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll([][]byte{oneFrame(t, c.column, row(t, c.row))})
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, c.want)
			}
		})
	}
}

func TestDecoder_KeepsNullAndOddValuesAsTheyCome(t *testing.T) {
	r := randomRecord(rand.New(rand.NewPCG(7, 8)), "data")
	v := oracle.StructRow(r)
	mod := v.GetListValue().Values[0].GetListValue().Values[0].GetListValue().Values[0].GetListValue().Values[6].GetListValue().Values[0].GetListValue()
	mod.Values[1], mod.Values[2] = structpb.NewNullValue(), structpb.NewStringValue("null") // SQL NULL, and JSON null as Google's emulator sends it
	got, err := readAll([][]byte{oneFrame(t, oracle.StructColumn(), v)})
	if err != nil || got[0].Mods[0].New != "null" || got[0].Mods[0].Old != "null" {
		t.Fatalf("%v, %+v", err, got)
	}
}

func TestDecoder_AcceptsMetadataOnlyFramesAndSeveralRecordsInOneRow(t *testing.T) {
	a, b := oracle.Record{Kind: "heartbeat", CommitTimestamp: at(1)}, oracle.Record{Kind: "heartbeat", CommitTimestamp: at(2)}
	both := oracle.StructRow(a)
	both.GetListValue().Values = append(both.GetListValue().Values, oracle.StructRow(b).GetListValue().Values...)
	got, err := readAll([][]byte{oneFrame(t, oracle.StructColumn()), frameBytes(t, &spannerpb.PartialResultSet{Values: []*structpb.Value{both}})})
	if err != nil || !reflect.DeepEqual(got, []oracle.Record{a, b}) {
		t.Fatalf("%v, %+v", err, got)
	}
}

func TestDecoder_RefusesWhatCannotBeActedOn(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"rows before metadata":         {frameBytes(t, &spannerpb.PartialResultSet{Values: []*structpb.Value{structpb.NewStringValue("x")}}), "metadata"},
		"another query's metadata":     {oneFrame(t, &spannerpb.Type{Code: spannerpb.TypeCode_INT64}), "INT64"},
		"an array of something else":   {oneFrame(t, &spannerpb.Type{Code: spannerpb.TypeCode_ARRAY, ArrayElementType: &spannerpb.Type{Code: spannerpb.TypeCode_STRING}}), "not of the form"},
		"a row that is no list":        {oneFrame(t, oracle.StructColumn(), structpb.NewBoolValue(true)), "not a list"},
		"a heartbeat without its time": {oneFrame(t, oracle.StructColumn(), row(t, `[[[],[[null]],[]]]`)), "heartbeat_record"},
		"a time that is none":          {oneFrame(t, oracle.StructColumn(), row(t, `[[[],[["yesterday"]],[]]]`)), "RFC 3339"},
		"a child without token":        {oneFrame(t, oracle.StructColumn(), row(t, `[[[],[],[["2026-11-20T09:54:00Z","0",[[null,[]]]]]]]`)), "without a token"},
		"a data record without time":   {oneFrame(t, oracle.JSONColumn(), structpb.NewStringValue(`{"data_change_record":{"table_name":"T"}}`)), "commit_timestamp"},
		"a row that is not JSON":       {oneFrame(t, oracle.JSONColumn(), structpb.NewStringValue(`{"data_change_record":`)), "JSON"},
		"a row that is not base64":     {oneFrame(t, oracle.ProtoColumn(), structpb.NewStringValue(`!`)), "base64"},
		"half a frame":                 {oneFrame(t, oracle.StructColumn())[:20], "protobuf"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := readAll([][]byte{c.frame}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want an error that says %q", got, err, c.want)
			}
		})
	}
}

func TestDecoder_InternsSchemas(t *testing.T) {
	r := randomRecord(rand.New(rand.NewPCG(9, 10)), "data")
	schemas := new(changestream.Schemas)
	var seen []*changestream.Schema
	for _, form := range rowForms[:2] { // the same columns by either row form are one schema
		d := changestream.NewDecoder(schemas)
		if err := d.Reset(oneFrame(t, form.column(), form.row(r), form.row(r))); err != nil {
			t.Fatal(err)
		}
		for {
			kind, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if kind == changestream.KindNone {
				break
			}
			seen = append(seen, d.Data().Schema)
		}
	}
	if len(seen) != 4 || seen[0] != seen[1] || seen[0] != seen[2] || seen[0] != seen[3] {
		t.Fatalf("schemas %p, want one", seen)
	}
	if len(seen[0].Hash) != 16 {
		t.Fatalf("hash %q", seen[0].Hash)
	}
}

// FuzzDecoder_AgreesWithTheOracle feeds both decoders the same frames. Where the
// bytes are such as a protobuf library writes, they must agree; elsewhere the
// fast one may refuse or differ, but not panic.
func FuzzDecoder_AgreesWithTheOracle(f *testing.F) {
	rnd := rand.New(rand.NewPCG(11, 12))
	for i, form := range rowForms {
		for _, kind := range form.kinds {
			frame := frameBytes(f, &spannerpb.PartialResultSet{Values: []*structpb.Value{form.row(randomRecord(rnd, kind))}})
			f.Add(uint8(i), frame, []byte{})
			for mutant := range mutants.Of(frame, 200) {
				f.Add(uint8(i), mutant, []byte{})
			}
		}
	}
	f.Add(uint8(0), frameBytes(f, &spannerpb.PartialResultSet{Values: []*structpb.Value{row(f, `[[["x`+`"]]]`)}, ChunkedValue: true}), frameBytes(f, &spannerpb.PartialResultSet{Values: []*structpb.Value{row(f, `[[["y"]]]`)}}))
	f.Fuzz(func(t *testing.T, form uint8, first, second []byte) {
		column := rowForms[int(form)%len(rowForms)].column()
		frames := [][]byte{oneFrame(t, column), first, second}
		got, err := readAll(frames)
		want, ok := viaOracle(frames)
		if !ok || err != nil {
			return
		}
		if got, want = normal(got), normal(want); !reflect.DeepEqual(got, want) {
			t.Fatalf("\ngot  %+v\nwant %+v", got, want)
		}
	})
}

// viaOracle decodes frames by the oracle; not ok when it refuses them, when
// they are not canonical protobuf, or when they hold what it does not check.
func viaOracle(frames [][]byte) (out []oracle.Record, ok bool) {
	var d oracle.Decoder
	for _, b := range frames {
		var frame spannerpb.PartialResultSet
		if proto.Unmarshal(b, &frame) != nil || len(frame.ProtoReflect().GetUnknown()) > 0 {
			return nil, false
		}
		if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(&frame); err != nil || string(again) != string(b) {
			return nil, false
		}
		records, err := d.Frame(&frame)
		if err != nil {
			return nil, false
		}
		out = append(out, records...)
	}
	return out, true
}
