package changestream_test

import (
	"fmt"
	"strings"
	"testing"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/oracle"
)

// benchRecord is the record that the figures are for: 8 columns, about 1.4 KB
// on the wire with one mod.
func benchRecord(i, mods int) oracle.Record {
	r := oracle.Record{
		Kind: "data", CommitTimestamp: at(i), RecordSequence: "00000000", ServerTransactionID: "NTQ5MTAxNjk2MzM2OTMxOTM5NQ==", Last: true,
		Table: "sales.Orders", ModType: "UPDATE", Capture: "NEW_ROW", Records: 1, Partitions: 1,
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

func benchFrame(b *testing.B, form, records, mods int) []byte {
	f := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(rowForms[form].column())}
	var rows []*structpb.Value
	for i := range records {
		rows = append(rows, rowForms[form].row(benchRecord(i, mods)))
	}
	f.Values = rows
	return frameBytes(b, f)
}

func BenchmarkDecode(b *testing.B) {
	for form := range rowForms {
		for _, shape := range []struct{ records, mods int }{{16, 1}, {4, 20}} {
			b.Run(fmt.Sprintf("%s/%dmod", rowForms[form].name, shape.mods), func(b *testing.B) {
				frame := benchFrame(b, form, shape.records, shape.mods)
				d := changestream.NewDecoder(new(changestream.Schemas))
				if err := d.Reset(frame); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(frame)))
				b.ReportAllocs()
				n := 0
				// the metadata comes with a query's first frame only
				rest := frameBytes(b, withoutMetadata(b, frame))
				for b.Loop() {
					if err := d.Reset(rest); err != nil {
						b.Fatal(err)
					}
					for {
						kind, err := d.Next()
						if err != nil {
							b.Fatal(err)
						}
						if kind == changestream.KindNone {
							break
						}
						n++
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
			})
		}
	}
}

func withoutMetadata(b *testing.B, frame []byte) *spannerpb.PartialResultSet {
	f := new(spannerpb.PartialResultSet)
	if err := proto.Unmarshal(frame, f); err != nil {
		b.Fatal(err)
	}
	f.Metadata = nil
	return f
}
