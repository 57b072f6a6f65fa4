package changestream_test

import (
	"fmt"
	"testing"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/oracle"
)

func benchFrame(b *testing.B, form, records, mods int) []byte {
	f := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(rowForms[form].column())}
	var rows []*structpb.Value
	for i := range records {
		rows = append(rows, rowForms[form].row(oracle.Typical(at(i), i, mods)))
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
