package changestream_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/oracle"
)

// rowForms are the three ways in which a row can come.
var rowForms = []struct {
	name   string
	column func() *spannerpb.Type
	row    func(oracle.Record) *structpb.Value
	kinds  []string
}{
	{"struct", oracle.StructColumn, oracle.StructRow, []string{"data", "heartbeat", "children"}},
	{"json", oracle.JSONColumn, oracle.JSONRow, []string{"data", "heartbeat", "children"}},
	{"proto", oracle.ProtoColumn, oracle.ProtoRow, []string{"data", "heartbeat", "start", "end", "event"}},
}

func at(micros int) time.Time {
	return time.Date(2026, 11, 20, 9, 54, 0, 0, time.UTC).Add(time.Duration(micros) * time.Microsecond)
}

func randomRecord(rnd *rand.Rand, kind string) oracle.Record {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	r := oracle.Record{Kind: kind, CommitTimestamp: at(rnd.IntN(2_000_000)), RecordSequence: fmt.Sprintf("%08d", rnd.IntN(1000))}
	token := func() string { return fmt.Sprintf("token-%d", rnd.IntN(100)) }
	switch kind {
	case "heartbeat":
		r.RecordSequence = ""
	case "children":
		for range 1 + rnd.IntN(3) {
			c := oracle.Child{Token: token()}
			for range rnd.IntN(3) {
				c.Parents = append(c.Parents, token())
			}
			r.Children = append(r.Children, c)
		}
	case "start":
		r.Tokens = []string{token(), token()}
	case "end":
		r.Tokens = []string{token()}
	case "event":
		r.Tokens = []string{token()}
		for range rnd.IntN(3) {
			r.In = append(r.In, token())
		}
		for range 1 + rnd.IntN(2) {
			r.Out = append(r.Out, token())
		}
	case "data":
		r.ServerTransactionID, r.Table, r.ModType = pick("NTQ5MTAxNjk2MzM2OTMxOTM5NQ==", "12"), pick("Users", "sales.Orders", `odd"na\me é`), pick("INSERT", "UPDATE", "DELETE")
		r.Capture = pick("OLD_AND_NEW_VALUES", "NEW_VALUES", "NEW_ROW", "NEW_ROW_AND_OLD_VALUES")
		r.Last, r.System, r.Tag = rnd.IntN(2) == 0, rnd.IntN(5) == 0, pick("", "tag=a/b", "é")
		r.Records, r.Partitions = rnd.Int64N(1000), rnd.Int64N(10)
		r.Columns = []oracle.Column{
			{Name: "Id", Type: `{"code":"INT64"}`, Key: true, Ordinal: 1}, {Name: "Name", Type: `{"code":"STRING"}`, Ordinal: 2},
			{Name: `we"ird`, Type: `{"code":"FLOAT64"}`, Ordinal: 5}, {Name: "Flag", Type: `{"code":"BOOL"}`, Ordinal: 7},
		}[:2+rnd.IntN(3)]
		for range 1 + rnd.IntN(3) {
			values := map[string]any{}
			for _, c := range r.Columns[1:] {
				values[c.Name] = []any{nil, "x\"\\\n{}[]é😀", 1.5, -1e30, true, []any{"a", nil}, strings.Repeat("long ", rnd.IntN(200))}[rnd.IntN(7)]
			}
			b, _ := json.Marshal(values)
			r.Mods = append(r.Mods, oracle.Mod{Keys: fmt.Sprintf(`{"Id":"%d"}`, rnd.IntN(100)), New: string(b), Old: pick(`{}`, string(b))})
		}
	}
	return r
}

// readAll decodes frames with the decoder under test, into the oracle's form.
func readAll(frames [][]byte) ([]oracle.Record, error) {
	d := changestream.NewDecoder(new(changestream.Schemas))
	var out []oracle.Record
	for _, frame := range frames {
		if err := d.Reset(frame); err != nil {
			return out, err
		}
		for {
			kind, err := d.Next()
			if err != nil {
				return out, err
			}
			if kind == changestream.KindNone {
				break
			}
			out = append(out, plain(d, kind))
		}
	}
	if d.Incomplete() {
		return out, fmt.Errorf("incomplete")
	}
	return out, nil
}

func plain(d *changestream.Decoder, kind changestream.Kind) oracle.Record {
	switch kind {
	case changestream.KindHeartbeat:
		return oracle.Record{Kind: "heartbeat", CommitTimestamp: d.Heartbeat()}
	case changestream.KindChildren:
		c := d.Children()
		r := oracle.Record{Kind: "children", CommitTimestamp: c.StartTimestamp, RecordSequence: c.RecordSequence}
		for _, child := range c.Children {
			r.Children = append(r.Children, oracle.Child{Token: string(child.Token), Parents: tokens(child.Parents)})
		}
		return r
	case changestream.KindPartitionStart, changestream.KindPartitionEnd, changestream.KindPartitionEvent:
		p := d.Partition()
		name := map[changestream.Kind]string{changestream.KindPartitionStart: "start", changestream.KindPartitionEnd: "end", changestream.KindPartitionEvent: "event"}[kind]
		return oracle.Record{Kind: name, CommitTimestamp: p.Timestamp, RecordSequence: p.RecordSequence, Tokens: tokens(p.Tokens), In: tokens(p.Sources), Out: tokens(p.Destinations)}
	}
	rec := d.Data()
	r := oracle.Record{
		Kind: "data", CommitTimestamp: rec.CommitTimestamp, RecordSequence: string(rec.RecordSequence), ServerTransactionID: string(rec.ServerTransactionID),
		Last: rec.LastInTransaction, Table: rec.Schema.Table, ModType: string(rec.ModType), Capture: string(rec.ValueCaptureType),
		Records: rec.RecordsInTransaction, Partitions: rec.PartitionsInTransaction, Tag: string(rec.TransactionTag), System: rec.SystemTransaction,
	}
	for _, c := range rec.Schema.Columns {
		r.Columns = append(r.Columns, oracle.Column{Name: c.Name, Type: string(c.Type), Key: c.IsPrimaryKey, Ordinal: c.OrdinalPosition})
	}
	for _, m := range rec.Mods {
		r.Mods = append(r.Mods, oracle.Mod{Keys: string(m.Keys), New: string(m.NewValues), Old: string(m.OldValues)})
	}
	return r
}

func tokens(list []changestream.PartitionToken) (out []string) {
	for _, t := range list {
		out = append(out, string(t))
	}
	return out
}

func frameBytes(t testing.TB, f *spannerpb.PartialResultSet) []byte {
	b, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// normal makes records comparable: the JSON that is built from protobuf values
// may differ from the oracle's in spaces and in how a number is written.
func normal(records []oracle.Record) []oracle.Record {
	for i := range records {
		for j, m := range records[i].Mods {
			records[i].Mods[j] = oracle.Mod{Keys: normalJSON(m.Keys), New: normalJSON(m.New), Old: normalJSON(m.Old)}
		}
	}
	return records
}

func normalJSON(s string) string {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func TestDecoder_ReadsEveryRecordOfEveryRowForm(t *testing.T) {
	for _, form := range rowForms {
		t.Run(form.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			for range 500 {
				frames, want := randomFrames(t, rnd, form.column(), form.row, form.kinds)
				got, err := readAll(frames)
				if err != nil {
					t.Fatal(err)
				}
				if form.name == "proto" {
					got, want = normal(got), normal(want)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

func randomFrames(t testing.TB, rnd *rand.Rand, column *spannerpb.Type, row func(oracle.Record) *structpb.Value, kinds []string) (frames [][]byte, want []oracle.Record) {
	frame := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(column)}
	for range rnd.IntN(6) {
		for range rnd.IntN(4) {
			r := randomRecord(rnd, kinds[rnd.IntN(len(kinds))])
			want = append(want, r)
			frame.Values = append(frame.Values, row(r))
		}
		frame.ResumeToken = []byte("token")
		frames = append(frames, frameBytes(t, frame))
		frame = &spannerpb.PartialResultSet{}
	}
	return frames, want
}

func TestDecoder_JoinsChunkedValues(t *testing.T) {
	for _, form := range rowForms[:2] {
		t.Run(form.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, 4))
			for range 300 {
				var want []oracle.Record
				frames := []*spannerpb.PartialResultSet{{Metadata: oracle.Metadata(form.column())}}
				for range 1 + rnd.IntN(4) {
					r := randomRecord(rnd, form.kinds[rnd.IntN(3)])
					want = append(want, r)
					for i, piece := range cutAtRandom(rnd, form.row(r)) {
						last := frames[len(frames)-1]
						if i > 0 {
							last.ChunkedValue = true
							last = &spannerpb.PartialResultSet{}
							frames = append(frames, last)
						}
						last.Values = append(last.Values, piece)
					}
				}
				var raw [][]byte
				for _, f := range frames {
					raw = append(raw, frameBytes(t, f))
				}
				if got, err := readAll(raw); err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
				}
			}
		})
	}
}

// cutAtRandom cuts a value into pieces that chunked_value would join again.
func cutAtRandom(rnd *rand.Rand, v *structpb.Value) []*structpb.Value {
	pieces := []*structpb.Value{}
	rest := v
	for range rnd.IntN(5) {
		a, b := cutOnce(rnd, rest)
		if b == nil {
			break
		}
		pieces, rest = append(pieces, a), b
	}
	return append(pieces, rest)
}

func cutOnce(rnd *rand.Rand, v *structpb.Value) (a, b *structpb.Value) {
	if s, ok := v.Kind.(*structpb.Value_StringValue); ok {
		i := rnd.IntN(len(s.StringValue) + 1)
		for i > 0 && i < len(s.StringValue) && !utf8.RuneStart(s.StringValue[i]) {
			i--
		}
		return structpb.NewStringValue(s.StringValue[:i]), structpb.NewStringValue(s.StringValue[i:])
	}
	list := v.GetListValue()
	if list == nil || len(list.Values) == 0 {
		return v, nil
	}
	i := rnd.IntN(len(list.Values))
	first, second := cutOnce(rnd, list.Values[i])
	head := append(append([]*structpb.Value{}, list.Values[:i]...), first)
	tail := append([]*structpb.Value{}, list.Values[i+1:]...)
	if second != nil {
		tail = append([]*structpb.Value{second}, tail...)
	} else if len(tail) > 0 && joins(first) && joins(tail[0]) {
		return v, nil // would be joined wrongly: an uncut list or string before another
	}
	return structpb.NewListValue(&structpb.ListValue{Values: head}), structpb.NewListValue(&structpb.ListValue{Values: tail})
}

func joins(v *structpb.Value) bool {
	switch v.Kind.(type) {
	case *structpb.Value_StringValue, *structpb.Value_ListValue:
		return true
	}
	return false
}
