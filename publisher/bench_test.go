package publisher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"

	"github.com/spancast/spancast/test/oracle"
	"github.com/spancast/spancast/topics"
)

// The benchmarks of the record path: what a record costs from the bytes of a
// PartialResultSet to the three frames of its messages, without socket. Beside
// it, in the same run, the same bytes through the oracle decoder. (What
// spanner.Client with ToStruct costs, spancast bench tells.) Records have 8
// columns and are 1.4 KB on the wire with one mod.
var shapes = []struct {
	name          string
	records, mods int // of a frame, of a record
}{{"1mod", 16, 1}, {"20mods", 4, 20}}

func benchRecord(i, mods int) oracle.Record {
	r := oracle.Record{
		Kind: "data", CommitTimestamp: commitTime.Add(time.Duration(i) * time.Microsecond), RecordSequence: "00000000",
		ServerTransactionID: "NTQ5MTAxNjk2MzM2OTMxOTM5NQ==", Last: true, Table: "sales.Orders", ModType: "UPDATE", Capture: "NEW_ROW", Records: 1, Partitions: 1,
	}
	for c := range 8 {
		r.Columns = append(r.Columns, oracle.Column{Name: fmt.Sprintf("Column%d", c), Type: `{"code":"STRING"}`, Key: c < 2, Ordinal: int64(c + 1)})
	}
	for m := range mods {
		var values []string
		for c := 2; c < 8; c++ {
			values = append(values, fmt.Sprintf(`"Column%d":"%s"`, c, strings.Repeat("v", 120+c)))
		}
		r.Mods = append(r.Mods, oracle.Mod{Keys: fmt.Sprintf(`{"Column0":"key-%08d","Column1":"%d"}`, i, m), New: "{" + strings.Join(values, ",") + "}", Old: "{}"})
	}
	return r
}

// benchFrames returns the first frame of a query, and one of those that follow.
func benchFrames(b testing.TB, records, mods int) (first, next []byte) {
	f := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(oracle.StructColumn())}
	for i := range records {
		f.Values = append(f.Values, oracle.StructRow(benchRecord(i, mods)))
	}
	return marshal(b, f), marshal(b, &spannerpb.PartialResultSet{Values: f.Values, ResumeToken: []byte("0000000000000000")})
}

func marshal(b testing.TB, m proto.Message) []byte {
	b.Helper()
	out, err := proto.Marshal(m)
	check(b, err)
	return out
}

func perRecord(b *testing.B, records int) {
	n := float64(b.N * records)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/record")
	b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkRecordPath(b *testing.B) {
	for _, shape := range shapes {
		b.Run("spancast/"+shape.name, func(b *testing.B) { benchPath(b, shape.records, shape.mods, topics.Default) })
	}
	b.Run("spancast-key/"+shapes[0].name, func(b *testing.B) { benchPath(b, shapes[0].records, shapes[0].mods, "{table}/{key}/") })
	for _, shape := range shapes {
		b.Run("oracle/"+shape.name, func(b *testing.B) { benchOracle(b, shape.records, shape.mods) })
	}
}

// benchPath runs the record path over a frame again and again.
func benchPath(b *testing.B, records, mods int, template string) {
	pass, bytes := recordPath(b, records, mods, template)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pass()
	}
	perRecord(b, records)
	if *bytes == 0 {
		b.Fatal("nothing came out")
	}
}

func benchOracle(b *testing.B, records, mods int) {
	first, next := benchFrames(b, records, mods)
	var d oracle.Decoder
	pass := func(raw []byte) {
		frame := new(spannerpb.PartialResultSet)
		check(b, proto.Unmarshal(raw, frame))
		out, err := d.Frame(frame)
		check(b, err)
		if len(out) != records {
			b.Fatalf("%d records", len(out))
		}
	}
	pass(first)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pass(next)
	}
	perRecord(b, records)
}
