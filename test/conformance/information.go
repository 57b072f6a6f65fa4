package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// informationSchema is the schema of section M.
func informationSchema() map[Dialect][]string {
	return map[Dialect][]string{
		GoogleSQL: {
			"CREATE TABLE base (key1 INT64, bool_value BOOL, int_value INT64) PRIMARY KEY (key1)",
			"CREATE TABLE no_action_child (key1 INT64, child_key BOOL, value STRING(MAX)) PRIMARY KEY (key1, child_key), INTERLEAVE IN PARENT base",
			"CREATE TABLE cascade_child (key1 INT64, child_key BOOL, value1 STRING(MAX), value2 BOOL, created_at TIMESTAMP) PRIMARY KEY (key1, child_key), INTERLEAVE IN PARENT base ON DELETE CASCADE",
			"CREATE CHANGE STREAM test_stream FOR base(bool_value, int_value), no_action_child OPTIONS (retention_period = '36h')",
			"CREATE CHANGE STREAM test_stream2 FOR base, no_action_child(), cascade_child(value1, value2, created_at) OPTIONS (retention_period = '2d', value_capture_type = 'OLD_AND_NEW_VALUES')",
			"CREATE CHANGE STREAM test_stream3 FOR ALL",
			"CREATE CHANGE STREAM test_stream4",
		},
		PostgreSQL: {
			"CREATE TABLE base (key1 bigint, bool_value boolean, int_value bigint, PRIMARY KEY (key1))",
			"CREATE TABLE no_action_child (key1 bigint, child_key boolean, value varchar, PRIMARY KEY (key1, child_key)) INTERLEAVE IN PARENT base",
			"CREATE TABLE cascade_child (key1 bigint, child_key boolean, value1 varchar, value2 boolean, created_at timestamptz, PRIMARY KEY (key1, child_key)) INTERLEAVE IN PARENT base ON DELETE CASCADE",
			"CREATE CHANGE STREAM test_stream FOR base(bool_value, int_value), no_action_child WITH (retention_period = '36h')",
			"CREATE CHANGE STREAM test_stream2 FOR base, no_action_child(), cascade_child(value1, value2, created_at) WITH (retention_period = '2d', value_capture_type = 'OLD_AND_NEW_VALUES')",
			"CREATE CHANGE STREAM test_stream3 FOR ALL",
			"CREATE CHANGE STREAM test_stream4",
		},
	}
}

// informationCase is one query; its rows are written with | between columns
// and compared without regard to order.
type informationCase struct {
	id   int
	name string
	sql  Text
	want map[Dialect]string
}

func informationCases() []informationCase {
	same := func(columns, table, where string) Text {
		g := "SELECT " + columns + " FROM information_schema." + table
		return Text{GoogleSQL: g + where, PostgreSQL: strings.ReplaceAll(g, "`", `"`) + where}
	}
	both := func(rows string) map[Dialect]string { return map[Dialect]string{GoogleSQL: rows, PostgreSQL: rows} }
	return []informationCase{
		{154, "ChangeStreams", same("change_stream_name, `all`", "change_streams", ""), map[Dialect]string{
			GoogleSQL:  "test_stream|false test_stream2|false test_stream3|true test_stream4|false",
			PostgreSQL: "test_stream|NO test_stream2|NO test_stream3|YES test_stream4|NO"}},
		{155, "ChangeStreamTables", same("change_stream_name, table_name, all_columns", "change_stream_tables", ""), map[Dialect]string{
			GoogleSQL:  "test_stream|base|false test_stream|no_action_child|true test_stream2|base|true test_stream2|cascade_child|false test_stream2|no_action_child|false",
			PostgreSQL: "test_stream|base|NO test_stream|no_action_child|YES test_stream2|base|YES test_stream2|cascade_child|NO test_stream2|no_action_child|NO"}},
		{156, "ChangeStreamColumns", same("change_stream_name, table_name, column_name", "change_stream_columns", ""),
			both("test_stream|base|bool_value test_stream|base|int_value test_stream2|cascade_child|created_at test_stream2|cascade_child|value1 test_stream2|cascade_child|value2")},
		{157, "ChangeStreamOptions", same("change_stream_name, option_name, option_type, option_value", "change_stream_options", ""), map[Dialect]string{
			GoogleSQL:  "test_stream|retention_period|STRING|36h test_stream2|retention_period|STRING|2d test_stream2|value_capture_type|STRING|OLD_AND_NEW_VALUES",
			PostgreSQL: "test_stream|retention_period|character_varying|36h test_stream2|retention_period|character_varying|2d test_stream2|value_capture_type|character_varying|OLD_AND_NEW_VALUES"}},
		{157, "Dialect", same("option_value", "database_options", " WHERE option_name = 'database_dialect'"),
			map[Dialect]string{GoogleSQL: "GOOGLE_STANDARD_SQL", PostgreSQL: "POSTGRESQL"}},
	}
}

// RunInformationSchema is section M.
func RunInformationSchema(t *testing.T, server Server) {
	for dialect, ddl := range informationSchema() {
		t.Run(string(dialect), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			db, err := server.create(ctx, dialect, ddl)
			if err != nil {
				t.Fatal(err)
			}
			defer db.close()
			for _, c := range informationCases() {
				t.Run(fmt.Sprintf("%03d_%s", c.id, c.name), func(t *testing.T) {
					want := strings.Fields(c.want[dialect])
					slices.Sort(want)
					if got := db.texts(ctx, t, c.sql[dialect]); !slices.Equal(got, want) {
						t.Errorf("got  %v\nwant %v", got, want)
					}
				})
			}
		})
	}
}

// texts runs a query and gives its rows as sorted texts.
func (db *database) texts(ctx context.Context, t *testing.T, sql string) []string {
	t.Helper()
	var out []string
	err := db.client.Single().Query(ctx, spanner.NewStatement(sql)).Do(func(row *spanner.Row) error {
		var columns []string
		for i := range row.Size() {
			var value spanner.GenericColumnValue
			if err := row.Column(i, &value); err != nil {
				return err
			}
			columns = append(columns, strings.ReplaceAll(fmt.Sprint(value.Value.AsInterface()), " ", "_"))
		}
		out = append(out, strings.Join(columns, "|"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// RunWire is section I: rows as they stand on the wire.
func RunWire(t *testing.T, server Server) {
	runAPI(t, server, []apiCase{
		{110, "HeartbeatRow", both(), func(ctx context.Context, t *testing.T, f *fixture) {
			_, idle := f.holder(ctx, t)
			checkWire(ctx, t, f, Query{Stream: f.stream, Start: f.commit, End: f.commit, Token: idle}, 1)
		}},
		{112, "InitialRows", both(), func(ctx context.Context, t *testing.T, f *fixture) {
			checkWire(ctx, t, f, Query{Stream: f.stream, Start: f.commit}, 2)
		}},
	})
}

// checkWire looks at metadata, resume tokens and the shape of each row.
func checkWire(ctx context.Context, t *testing.T, f *fixture, q Query, want int) {
	request, err := streamRequest(ctx, f.conn, q)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := sppb.NewSpannerClient(f.conn).ExecuteStreamingSql(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for first := true; ; first = false {
		part, err := stream.Recv()
		if err != nil {
			break
		}
		if (part.Metadata != nil) != first {
			t.Errorf("metadata %v in response %d", part.Metadata, n)
		}
		if first {
			checkColumn(t, f.dialect, part.Metadata)
		}
		if len(part.ResumeToken) == 0 {
			t.Error("a response without a resume token")
		}
		for _, value := range part.Values {
			n++
			checkShape(t, f.dialect, value)
		}
	}
	if n != want {
		t.Errorf("%d rows, want %d", n, want)
	}
}

func checkColumn(t *testing.T, dialect Dialect, metadata *sppb.ResultSetMetadata) {
	t.Helper()
	fields := metadata.GetRowType().GetFields()
	if len(fields) != 1 {
		t.Fatalf("columns: %v", fields)
	}
	name, code, annotation := "ChangeRecord", sppb.TypeCode_ARRAY, sppb.TypeAnnotationCode_TYPE_ANNOTATION_CODE_UNSPECIFIED
	if dialect == PostgreSQL {
		name, code, annotation = "read_json_test_stream", sppb.TypeCode_JSON, sppb.TypeAnnotationCode_PG_JSONB
	}
	if fields[0].Name != name || fields[0].Type.Code != code || fields[0].Type.TypeAnnotation != annotation {
		t.Errorf("column %v", fields[0])
	}
}

// checkShape wants one struct of three arrays of which one has one element,
// or one JSON object with one member.
func checkShape(t *testing.T, dialect Dialect, value *structpb.Value) {
	t.Helper()
	if dialect == PostgreSQL {
		if text := value.GetStringValue(); strings.Count(text, `_record":`) != 1 || !strings.HasPrefix(text, `{"`) {
			t.Errorf("record %s", text)
		}
		return
	}
	records := value.GetListValue().GetValues()
	if len(records) != 1 || len(records[0].GetListValue().GetValues()) != 3 {
		t.Fatalf("row %v", value)
	}
	total := 0
	for _, kind := range records[0].GetListValue().GetValues() {
		total += len(kind.GetListValue().GetValues())
	}
	if total != 1 {
		t.Errorf("%d records in a row", total)
	}
}
