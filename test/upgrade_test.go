package test

import (
	"strings"
	"testing"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestBootstrap_AddsWhatTablesOfEarlierVersionsLack, in both dialects, on both
// Spanners: whoever needs a column that is missing says so and how to get it,
// and admin bootstrap adds it once.
func TestBootstrap_AddsWhatTablesOfEarlierVersionsLack(t *testing.T) {
	t.Parallel()
	server := embedded(t, emulator.Options{})
	for on, host := range map[string]func() string{"embedded": server.Addr, "Google's": func() string { return spannerdb.Host(t) }} {
		for dialect, drop := range map[databasepb.DatabaseDialect][]string{
			databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL: {`ALTER TABLE SpancastPartitions DROP COLUMN MovedAt`, `ALTER TABLE SpancastPartitions DROP COLUMN MovedTo`},
			databasepb.DatabaseDialect_POSTGRESQL:          {`ALTER TABLE "SpancastPartitions" DROP COLUMN "MovedAt"`, `ALTER TABLE "SpancastPartitions" DROP COLUMN "MovedTo"`},
		} {
			t.Run(on+" "+dialect.String(), func(t *testing.T) {
				db := spannerdb.New(t, host(), dialect)
				env := map[string]string{"SPANNER_EMULATOR_HOST": db.Host, "SPANCAST_DATABASE": db.Name, "SPANCAST_CHANGE_STREAM": "Everything",
					"SPANCAST_HTTP": "none", "SPANCAST_BIND": "tcp://127.0.0.1:*", "SPANCAST_RECOVERY_BIND": "tcp://127.0.0.1:*"}
				bootstrap := func(added int) {
					t.Helper()
					status, stdout, stderr := harness.Run(t, env, "admin", "bootstrap", "--watch", "ALL")
					if status != 0 || strings.Count(stdout, " added to table SpancastPartitions") != added {
						t.Fatalf("bootstrap: exit status %d, want %d columns added: %s%s", status, added, stdout, stderr)
					}
				}
				bootstrap(0)
				db.DDL(t, drop...)
				for _, command := range []string{"serve", "validate", "status"} {
					status, stdout, stderr := harness.Run(t, env, command)
					if said := stdout + stderr; status != 2 || !strings.Contains(said, "MovedAt") || !strings.Contains(said, "spancast admin bootstrap adds what they lack") {
						t.Errorf("%s: exit status %d: %s", command, status, said)
					}
				}
				bootstrap(2)
				bootstrap(0)
				if status, stdout, stderr := harness.Run(t, env, "validate"); status != 0 {
					t.Errorf("validate: exit status %d: %s%s", status, stdout, stderr)
				}
			})
		}
	}
}
