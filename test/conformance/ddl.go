package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ddlCase runs statements in order on the DDL schema; all but the last must
// succeed, the last one must end with code. With several statements in last,
// each of them is tried for itself.
type ddlCase struct {
	id     int
	name   string
	before []string
	last   []string
	code   codes.Code
	google codes.Code // what Google's emulator answers, where it differs
	only   Kind       // the only kind of server that it holds for; empty: all
}

var ddlSchema = map[Dialect][]string{
	GoogleSQL: {
		"CREATE TABLE t (id INT64 NOT NULL, c1 INT64, c2 INT64, c3 INT64, c4 INT64) PRIMARY KEY (id)",
		"CREATE TABLE t2 (id INT64 NOT NULL, c INT64) PRIMARY KEY (id)",
		"CREATE TABLE `ALL` (`All` INT64, id INT64 NOT NULL) PRIMARY KEY (id)",
	},
	PostgreSQL: {
		"CREATE TABLE t (id bigint NOT NULL, c1 bigint, c2 bigint, c3 bigint, c4 bigint, PRIMARY KEY (id))",
		"CREATE TABLE t2 (id bigint NOT NULL, c bigint, PRIMARY KEY (id))",
	},
}

// RunDDL is section L.
func RunDDL(t *testing.T, server Server) {
	for dialect, cases := range map[Dialect][]ddlCase{GoogleSQL: append(ddlCases(), limitCases()...), PostgreSQL: pgDDLCases()} {
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s/%03d_%s", dialect, c.id, c.name), func(t *testing.T) {
				t.Parallel()
				runDDLCase(t, server, dialect, c)
			})
		}
	}
}

func runDDLCase(t *testing.T, server Server, dialect Dialect, c ddlCase) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if c.only != "" && c.only != server.Kind {
		t.Skipf("holds for %s only", c.only)
	}
	want := c.code
	if server.Kind == Google && c.google != codes.OK {
		want = c.google
	}
	last := c.last
	if want == codes.OK { // they do not stand in each other's way, and one database is faster
		last = []string{strings.Join(c.last, ";")}
	}
	db, err := server.create(ctx, dialect, ddlSchema[dialect])
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	if len(c.before) > 0 {
		if err := db.alter(ctx, c.before...); err != nil {
			t.Fatal(err)
		}
	}
	for _, statements := range last {
		if err := db.alter(ctx, strings.Split(statements, ";")...); status.Code(err) != want {
			t.Errorf("%s\ngot %v, want %v", statements, err, want)
		}
	}
}

func ddlCases() []ddlCase {
	const create = "CREATE CHANGE STREAM s"
	each := func(prefix string, tails ...string) []string {
		for i := range tails {
			tails[i] = prefix + tails[i]
		}
		return tails
	}
	return []ddlCase{
		{id: 139, name: "Create", last: []string{create, "CREATE CHANGE STREAM s1 FOR ALL", "CREATE CHANGE STREAM s2 FOR t", "CREATE CHANGE STREAM s3 FOR t(c1)",
			"CREATE CHANGE STREAM s4 FOR t()", "CREATE CHANGE STREAM s5 FOR t(), t2(c)", "CREATE CHANGE STREAM s6 FOR `ALL`(`All`)"}},
		{id: 140, name: "Alter", before: []string{create + " FOR t"}, last: []string{"ALTER CHANGE STREAM s SET FOR ALL", "ALTER CHANGE STREAM s SET FOR t, t2",
			"ALTER CHANGE STREAM s DROP FOR ALL",
			"ALTER CHANGE STREAM s SET OPTIONS (value_capture_type='OLD_AND_NEW_VALUES', retention_period='2d', exclude_insert=true, exclude_update=false, exclude_delete=true, exclude_ttl_deletes=false)"}},
		{id: 141, name: "OptionsReset", before: []string{create + " OPTIONS (retention_period='36h')"},
			last: []string{"ALTER CHANGE STREAM s SET OPTIONS (retention_period=NULL, value_capture_type=NULL)"}},
		{id: 142, name: "ParseErrors", code: codes.InvalidArgument,
			last: append(each(create, " FOR", " FOR ALL()", " FOR ALL(c)", " FOR ALL, t", " FOR t(ALL)", " OPTIONS()",
				" OPTIONS (retention_period='36h', retention_period='37h')", " OPTIONS (unknown=true)", " OPTIONS (retention_period=true)", " OPTIONS (value_capture_type=-1)"),
				"ALTER CHANGE STREAM s FOR ALL", "ALTER CHANGE STREAM s DROP FOR", "ALTER CHANGE STREAM s DROP FOR t", "ALTER CHANGE STREAM s DROP FOR `ALL`", "CREATE CHANGE STREAM")},
		{id: 143, name: "BadObjects", code: codes.FailedPrecondition, google: codes.FailedPrecondition, before: []string{"CREATE CHANGE STREAM other"},
			last: each(create, " FOR t(id)", " FOR t, t", " FOR other", " FOR t(nothing)")},
		{id: 150, name: "DropWatched", code: codes.FailedPrecondition, before: []string{create + " FOR t(c1), t2"},
			last: []string{"DROP TABLE t2", "ALTER TABLE t DROP COLUMN c1"}},
		{id: 150, name: "DropWatchedByAll", before: []string{create + " FOR ALL"}, last: []string{"DROP TABLE t2", "ALTER TABLE t DROP COLUMN c1"}},
		{id: 151, name: "Unknown", code: codes.NotFound, last: []string{"DROP CHANGE STREAM nothing", "ALTER CHANGE STREAM nothing SET FOR ALL"}},
		{id: 151, name: "Duplicate", code: codes.FailedPrecondition, before: []string{create},
			last: []string{create, "CREATE TABLE s (id INT64) PRIMARY KEY (id)"}},
		{id: 151, name: "ReadFunctionIsAName", only: Production, code: codes.FailedPrecondition, before: []string{create},
			last: []string{"CREATE TABLE READ_s (id INT64) PRIMARY KEY (id)"}},
		{id: 152, name: "LongName", code: codes.InvalidArgument, last: []string{create + strings.Repeat("s", 128)}},
	}
}

func limitCases() []ddlCase {
	const create = "CREATE CHANGE STREAM s"
	streams := func(tails ...string) []string {
		out := make([]string, len(tails))
		for i, tail := range tails {
			out[i] = fmt.Sprintf("CREATE CHANGE STREAM s%d FOR %s", i, tail)
		}
		return out
	}
	mixed := streams("t()", "t()", "t()", "t()", "ALL", "t", "t(c1)", "t(c2)")
	return []ddlCase{
		{id: 144, name: "FourthOnColumn", code: codes.FailedPrecondition, before: streams("t(c1)", "t", "ALL"),
			last: []string{create + " FOR t(c1)", create + " FOR t", create + " FOR ALL"}},
		{id: 145, name: "KeyOnlyDoesNotCount", code: codes.FailedPrecondition, before: mixed, last: []string{create + " FOR t(c1)"}},
		{id: 146, name: "ColumnsCountForThemselves", before: streams("t(c1)", "t(c2)", "t(c3)", "t(c4)", "ALL"), last: []string{create + " FOR t"}},
		{id: 147, name: "Narrowed", before: append(streams("t", "t", "t"), "ALTER CHANGE STREAM s0 SET FOR t()"), last: []string{create + " FOR ALL"}},
		{id: 147, name: "NotNarrowed", code: codes.FailedPrecondition, before: streams("t", "t", "t"), last: []string{create + " FOR ALL"}},
		{id: 148, name: "Eleventh", code: codes.FailedPrecondition, before: append(mixed, "CREATE CHANGE STREAM s8", "CREATE CHANGE STREAM s9"),
			last: []string{create, create + " FOR t()"}},
		{id: 149, name: "Retention", code: codes.FailedPrecondition,
			last: []string{create + " OPTIONS (retention_period='50d')", create + " OPTIONS (retention_period='23h')", create + " OPTIONS (value_capture_type='FooBar')"}},
		{id: 149, name: "RetentionOfEightDays", google: codes.FailedPrecondition, last: []string{create + " OPTIONS (retention_period='8d')"}},
	}
}

func pgDDLCases() []ddlCase {
	const create = "CREATE CHANGE STREAM s"
	return []ddlCase{
		{id: 139, name: "Create", last: []string{create, "CREATE CHANGE STREAM s1 FOR ALL", "CREATE CHANGE STREAM s2 FOR t", "CREATE CHANGE STREAM s3 FOR t(c1)",
			"CREATE CHANGE STREAM s4 FOR t()", `CREATE CHANGE STREAM "S5" FOR t(), "t2"("c")`}},
		{id: 140, name: "Alter", before: []string{create + " FOR t"}, last: []string{"ALTER CHANGE STREAM s SET FOR ALL", "ALTER CHANGE STREAM s DROP FOR ALL"}},
		{id: 143, name: "BadObjects", code: codes.FailedPrecondition, last: []string{create + " FOR t(id)", create + " FOR t, t"}},
		{id: 153, name: "BadOptions", code: codes.InvalidArgument, last: []string{create + " WITH ()", create + " OPTIONS (exclude_update = true)",
			"ALTER CHANGE STREAM s SET OPTIONS (exclude_update = true)", create + " WITH ('exclude_update' = true)",
			create + " WITH (value_capture_type = NEW_ROW)", create + ` WITH (value_capture_type = "NEW_ROW")`}},
		{id: 153, name: "GoodOptions", last: []string{create + " WITH (exclude_update = 'true')", `CREATE CHANGE STREAM s1 WITH ("value_capture_type" = 'NEW_ROW')`,
			"ALTER CHANGE STREAM s1 SET (value_capture_type = null)"}},
	}
}
