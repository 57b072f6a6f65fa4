package publisher

import (
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
// spanner.Client with ToStruct costs, spancast bench tells.) Records are
// those of oracle.Typical.
var shapes = []struct {
	name          string
	records, mods int // of a frame, of a record
}{{"1mod", 16, 1}, {"20mods", 4, 20}}

// benchFrames returns the first frame of a query, and one of those that follow.
func benchFrames(b testing.TB, records, mods int) (first, next []byte) {
	f := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(oracle.StructColumn())}
	for i := range records {
		f.Values = append(f.Values, oracle.StructRow(oracle.Typical(commitTime.Add(time.Duration(i)*time.Microsecond), i, mods)))
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
