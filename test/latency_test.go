package test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator/google"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// BenchmarkLatency_GoogleEmulator measures the time from a commit, by its commit
// timestamp, to a subscriber's receive call. Google's emulator looks for new
// records every 100 ms; a reader that adds nothing has a median of half of that
// and what the emulator itself takes, one that waits for a query to end, or for
// a resume token, has seconds.
func BenchmarkLatency_GoogleEmulator(b *testing.B) {
	db := spannerdb.New(b, spannerdb.Own(b, google.Options{}).Addr(), databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL,
		`CREATE TABLE T (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)`, `CREATE CHANGE STREAM S FOR T`)
	env := map[string]string{"SPANNER_EMULATOR_HOST": db.Host, "SPANCAST_DATABASE": db.Name, "SPANCAST_CHANGE_STREAM": "S", "SPANCAST_METADATA_DATABASE": db.Name + "m",
		"SPANCAST_HEARTBEAT": "2s", "SPANCAST_CHECKPOINT_INTERVAL": "1s", "SPANCAST_LEASE": "10s"} // as users have them
	if status, _, stderr := harness.Run(b, env, "admin", "bootstrap"); status != 0 {
		b.Fatal(stderr)
	}
	replica := harness.Serve(b, env)
	sub := harness.Subscribe(b, []string{replica.Endpoint}, "")
	sub.Reading()
	for i := range b.N {
		_, err := db.Client.Apply(context.Background(), []*spanner.Mutation{spanner.InsertOrUpdate("T", []string{"Id", "V"}, []any{i % 10, "v"})})
		if err != nil {
			b.Fatal(err)
		}
		pause := time.NewTimer(time.Duration(5+rand.IntN(100)) * time.Millisecond)
		<-pause.C
	}
	sub.Until("the last change", func([]*harness.Message) bool { return len(sub.Changes()) == b.N })
	var all []time.Duration
	for _, m := range sub.Changes() {
		at, err := m.Version.Time()
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, m.At.Sub(at))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}
