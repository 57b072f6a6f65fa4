package changestream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// newMutable makes a fixture whose stream has partitions that live on while
// keys move between them.
func newMutable(t *testing.T, o emulator.Options, d emulator.Dialect) *fixture {
	t.Helper()
	if d == emulator.PostgreSQL {
		return newFixtureOf(t, o, d, `CREATE TABLE "T" ("Id" bigint NOT NULL, "V" bigint, PRIMARY KEY ("Id"))`,
			`CREATE CHANGE STREAM "`+testStream+`" FOR "T" WITH (partition_mode = 'MUTABLE_KEY_RANGE')`)
	}
	return newFixtureOf(t, o, d, `CREATE TABLE T (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`,
		`CREATE CHANGE STREAM `+testStream+` FOR T OPTIONS (partition_mode = 'MUTABLE_KEY_RANGE')`)
}

// churn makes a key-range change, if there can be one now.
func (f *fixture) churn(kind emulator.Change, token string) {
	f.Helper()
	if err := f.server.Churn(testDatabase, testStream, kind, token); err != nil && !errors.Is(err, emulator.ErrChurn) {
		f.Fatal(err)
	}
}

var dialects = []emulator.Dialect{emulator.GoogleSQL, emulator.PostgreSQL}

// Scenario 25: splits, merges and moves under load, in both dialects, with
// windows so short that boundaries are everywhere, and with queries that fail
// and that end early.
func TestMutable_KeepsOrderPerKeyOverSplitsMergesAndMoves(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for name, faults := range map[string]emulator.Faults{
			"as usual":              {},
			"queries fail":          {Fail: codes.Unavailable, FailAfter: 3, OneRowPerFrame: true},
			"queries end early":     {EndAfter: 3, OneRowPerFrame: true},
			"values in pieces":      {ChunkSize: 40},
			"timestamps are shared": {SharedTimestamps: true},
		} {
			t.Run(fmt.Sprint(d, " ", name), func(t *testing.T) {
				t.Parallel()
				f := newMutable(t, emulator.Options{Partitions: 3, Faults: faults}, d)
				f.opt.QueryWindow = 200 * time.Millisecond
				f.run()
				for i := range 60 {
					f.commit(5)
					f.churn([]emulator.Change{emulator.Split, emulator.Merge, emulator.Move}[i%3], "")
				}
				f.server.SetFaults(emulator.Faults{})
				f.check(f.commit(5))
				if n := f.sink.twice(); n > 0 {
					t.Errorf("%d changes came twice: what stands at the boundary of two queries is to be read once", n)
				}
				must(t, f.stop())
			})
		}
	}
}

var _ = context.Background
var _ changestream.Sink
