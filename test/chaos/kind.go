package chaos

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/test/conformance"
)

// A Kind is what sort of database and change stream an Arena has.
type Kind struct {
	PostgreSQL bool
	Mutable    bool // MUTABLE_KEY_RANGE: keys move between partitions that live on
}

func (k Kind) String() string {
	mode := "IMMUTABLE_KEY_RANGE"
	if k.Mutable {
		mode = "MUTABLE_KEY_RANGE"
	}
	return fmt.Sprint(k.dialect(), " ", mode)
}

func (k Kind) dialect() conformance.Dialect {
	if k.PostgreSQL {
		return conformance.PostgreSQL
	}
	return conformance.GoogleSQL
}

func (k Kind) code() databasepb.DatabaseDialect {
	if k.PostgreSQL {
		return databasepb.DatabaseDialect_POSTGRESQL
	}
	return databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL
}

// schema is two tables and a change stream over both.
func (k Kind) schema() []string {
	table, quote, option := `CREATE TABLE %s (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`, "", ` OPTIONS (%s)`
	if k.PostgreSQL {
		table, quote, option = `CREATE TABLE %s ("Id" bigint NOT NULL, "V" bigint, PRIMARY KEY ("Id"))`, `"`, ` WITH (%s)`
	}
	var out, names []string
	for _, name := range tables {
		names = append(names, quote+name+quote)
		out = append(out, fmt.Sprintf(table, quote+name+quote))
	}
	stream := `CREATE CHANGE STREAM ` + quote + streamName + quote + ` FOR ` + strings.Join(names, ", ")
	if k.Mutable {
		stream += fmt.Sprintf(option, `partition_mode = 'MUTABLE_KEY_RANGE'`)
	}
	return append(out, stream)
}

// kinds are those to be tried, one arena after the other: all that Spanner has,
// or those that CHAOS_MODE and CHAOS_DIALECT name.
func kinds(t testing.TB, google bool) (out []Kind) {
	t.Helper()
	allows := func(variable, name string, is bool, other string) bool {
		switch value := os.Getenv(variable); value {
		case "":
			return true
		case name, other:
			return (value == name) == is
		default:
			t.Fatalf("%s: %q is not one of %s, %s", variable, value, name, other)
			return false
		}
	}
	for _, k := range []Kind{{}, {Mutable: true}, {PostgreSQL: true}, {PostgreSQL: true, Mutable: true}} {
		if allows("CHAOS_MODE", "mutable", k.Mutable, "immutable") && allows("CHAOS_DIALECT", "postgresql", k.PostgreSQL, "googlesql") && !(google && k.Mutable) {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		t.Fatal("Google's emulator has no streams of mode MUTABLE_KEY_RANGE")
	}
	return out
}
