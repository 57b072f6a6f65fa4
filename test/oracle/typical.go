package oracle

import (
	"fmt"
	"strings"
	"time"
)

// Typical is the record that the figures of benchmarks are for, number i of them:
// 8 columns, about 1.4 KB on the wire with one mod.
func Typical(at time.Time, i, mods int) Record {
	r := Record{
		Kind: "data", CommitTimestamp: at, RecordSequence: "00000000", ServerTransactionID: "NTQ5MTAxNjk2MzM2OTMxOTM5NQ==", Last: true,
		Table: "sales.Orders", ModType: "UPDATE", Capture: "NEW_ROW", Records: 1, Partitions: 1,
	}
	for c := range 8 {
		r.Columns = append(r.Columns, Column{Name: fmt.Sprintf("Column%d", c), Type: `{"code":"STRING"}`, Key: c < 2, Ordinal: int64(c + 1)})
	}
	for m := range mods {
		var values []string
		for c := 2; c < 8; c++ {
			values = append(values, fmt.Sprintf(`"Column%d":"%s"`, c, strings.Repeat("v", 120+c)))
		}
		r.Mods = append(r.Mods, Mod{Keys: fmt.Sprintf(`{"Column0":"key-%08d","Column1":"%d"}`, i, m), New: "{" + strings.Join(values, ",") + "}", Old: "{}"})
	}
	return r
}
