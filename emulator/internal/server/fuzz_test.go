package server

import (
	"context"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/engine"
	"github.com/spancast/spancast/emulator/internal/fault"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/internal/mutants"
)

// The fuzz targets call the services without the interceptors that would turn
// a panic into an error.

const fuzzDatabase = "projects/p/instances/i/databases/"

func fuzzServer(tb testing.TB) *Server {
	tb.Helper()
	n := 0
	s := New(Config{Faults: &fault.Switch{}, MinHeartbeat: time.Second, Engine: engine.Config{Now: time.Now, Retention: time.Hour, Versions: 1000,
		Stream: changes.Config{Partitions: 2, Limit: 1 << 20, Names: func() string { n++; return fmt.Sprint("token", n) }}}})
	for name, c := range map[string]struct {
		d   schema.Dialect
		ddl []string
	}{
		"google": {schema.GoogleSQL, []string{
			"CREATE TABLE T (Id INT64 NOT NULL, S STRING(10) DEFAULT ('x'), F FLOAT64, B BYTES(MAX), At TIMESTAMP OPTIONS (allow_commit_timestamp = true), D DATE, N NUMERIC, J JSON, L ARRAY<STRING(MAX)>, G STRING(MAX) AS (UPPER(S)) STORED) PRIMARY KEY (Id)",
			"CREATE TABLE C (Id INT64 NOT NULL, No INT64 NOT NULL) PRIMARY KEY (Id, No DESC), INTERLEAVE IN PARENT T ON DELETE CASCADE",
			"CREATE UNIQUE INDEX X ON T(S, F DESC)", "CREATE CHANGE STREAM S FOR ALL"}},
		"postgres": {schema.PostgreSQL, []string{
			`CREATE TABLE t (id bigint NOT NULL, s varchar(10) DEFAULT 'x', f double precision, b bytea, d date, n numeric, j jsonb, l text[], at timestamptz, PRIMARY KEY (id))`,
			`CREATE CHANGE STREAM s FOR ALL`}},
	} {
		for i, statement := range c.ddl {
			if c.d == schema.GoogleSQL && i < 2 { // reserved words
				statement = fixReserved(statement)
			}
			c.ddl[i] = statement
		}
		if err := s.CreateDatabase(fuzzDatabase+name, c.d, c.ddl); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func fixReserved(s string) string {
	out := ""
	for i := 0; i < len(s); i++ {
		switch {
		case i+4 <= len(s) && s[i:i+4] == " At ":
			out, i = out+" `At` ", i+3
		case i+4 <= len(s) && s[i:i+4] == " No ":
			out, i = out+" `No` ", i+3
		default:
			out += s[i : i+1]
		}
	}
	return out
}

// good fails on the codes that no request may be answered with.
func good(t *testing.T, err error) {
	t.Helper()
	if code := status.Code(err); code == codes.Internal || code == codes.Unknown {
		t.Errorf("answered with %v", err)
	}
}

func FuzzStatements(f *testing.F) {
	for _, sql := range []string{
		"SELECT * FROM T WHERE Id = 1 AND S LIKE '%a' ORDER BY F LIMIT 3", "SELECT COUNT(*), SUM(F) FROM T GROUP BY S HAVING COUNT(*) > 1",
		"INSERT INTO T (Id, S) VALUES (1, 'a') THEN RETURN *", "UPDATE T SET S = UPPER(S), D = DATE_ADD(D, INTERVAL 1 MONTH) WHERE Id IN (SELECT Id FROM C)",
		"DELETE FROM T WHERE TRUE", "SELECT ARRAY(SELECT x FROM UNNEST([1,2]) AS x), STRUCT(1 AS a).a, [1][OFFSET(0)], JSON '{\"a\":1}'.a",
		"WITH q AS (SELECT 1 AS n UNION ALL SELECT 2) SELECT q.n, c.Id FROM q LEFT JOIN C AS c ON c.Id = q.n", "SELECT CAST('1' AS NUMERIC) * 2, SAFE_CAST('x' AS DATE)",
		"SELECT ChangeRecord FROM READ_S('2026-01-01T00:00:00Z', NULL, NULL, 10000)", "SELECT * FROM information_schema.columns",
		`SELECT id::text || 'x', s FROM t WHERE l = ANY($1) RETURNING *`, `INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET s = excluded.s RETURNING id`,
		`SELECT * FROM spanner.read_json_s('2026-01-01', NULL, NULL, 10000)`, "SELECT ((((((((1))))))))", "SELECT NOT NOT - - ~1", "SELECT 'unterminated", "SELECT $$a$$, E'\\n'",
		"SELECT REPEAT('a', 9223372036854775807), SUBSTR('abc', -9223372036854775808, 5), POW(10, 400), ROUND(NUMERIC '1.5', -30), LPAD('a', 5, '')",
		"SELECT TIMESTAMP_ADD(TIMESTAMP '9999-12-31', INTERVAL 9223372036854775807 SECOND), DATE(2024, 13, 1), EXTRACT(WEEK FROM DATE '2024-01-01')",
	} {
		for _, postgres := range []bool{false, true} {
			f.Add(sql, postgres)
			for mutant := range mutants.Of(sql, 50) {
				f.Add(mutant, postgres)
			}
		}
	}
	s := fuzzServer(f)
	service := &spannerService{Server: s}
	f.Fuzz(func(t *testing.T, sql string, postgres bool) {
		if !utf8.ValidString(sql) {
			t.Skip("no request can carry it")
		}
		name := fuzzDatabase + "google"
		if postgres {
			name = fuzzDatabase + "postgres"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		params := &structpb.Struct{Fields: map[string]*structpb.Value{"p1": structpb.NewStringValue("1"), "x": structpb.NewNullValue()}}
		begin := &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Begin{Begin: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadWrite_{ReadWrite: &sppb.TransactionOptions_ReadWrite{}}}}}
		for _, mode := range []sppb.ExecuteSqlRequest_QueryMode{sppb.ExecuteSqlRequest_NORMAL, sppb.ExecuteSqlRequest_PLAN} {
			_, err := service.ExecuteSql(ctx, &sppb.ExecuteSqlRequest{Session: name + "/sessions/x", Sql: sql, Params: params, Transaction: begin, QueryMode: mode})
			good(t, err)
		}
	})
}

func FuzzDDL(f *testing.F) {
	for _, ddl := range []string{
		"CREATE TABLE N (A INT64, B STRING(5) DEFAULT ('a'), CONSTRAINT c CHECK (A > 0)) PRIMARY KEY (A DESC)", "ALTER TABLE T ADD COLUMN Z INT64 DEFAULT (1)",
		"CREATE CHANGE STREAM R FOR T(S), C() OPTIONS (retention_period = '36h', exclude_insert = true)", "ALTER CHANGE STREAM S SET FOR T", "ALTER CHANGE STREAM S DROP FOR ALL",
		"DROP CHANGE STREAM S", "CREATE NULL_FILTERED INDEX I ON T(D) STORING (N)", "DROP TABLE T", "ALTER TABLE T ALTER COLUMN S STRING(20) NOT NULL", "GRANT SELECT ON TABLE T TO ROLE r",
		`CREATE TABLE "n" (a bigint PRIMARY KEY, b text[] , c varchar(5) DEFAULT 'x'::varchar, CHECK (a > 0)) INTERLEAVE IN PARENT t ON DELETE CASCADE TTL INTERVAL '3 days' ON d`,
		`CREATE UNIQUE INDEX i ON t (s DESC) INCLUDE (f) WHERE s IS NOT NULL`, `ALTER TABLE t ADD COLUMN g text GENERATED ALWAYS AS (lower(s)) STORED`, "CREATE", "", ";", "CREATE CHANGE STREAM",
	} {
		for _, postgres := range []bool{false, true} {
			f.Add(ddl, postgres)
			for mutant := range mutants.Of(ddl, 50) {
				f.Add(mutant, postgres)
			}
		}
	}
	f.Fuzz(func(t *testing.T, ddl string, postgres bool) {
		if !utf8.ValidString(ddl) {
			t.Skip("no request can carry it")
		}
		s := fuzzServer(t)
		admin := &databaseAdmin{Server: s}
		name := fuzzDatabase + "google"
		if postgres {
			name = fuzzDatabase + "postgres"
		}
		_, err := admin.UpdateDatabaseDdl(t.Context(), &databasepb.UpdateDatabaseDdlRequest{Database: name, Statements: []string{ddl}})
		good(t, err)
		if err != nil {
			return
		}
		db, err := s.Database(name)
		if err != nil {
			t.Fatal(err)
		}
		printed := db.Schema().DDL() // must make a schema again
		if err := s.CreateDatabase(name+"2", db.Schema().Dialect, printed); err != nil {
			t.Errorf("%q\nprints as %q\nwhich is refused: %v", ddl, printed, err)
		}
	})
}

// FuzzRequests decodes requests of several kinds from bytes.
func FuzzRequests(f *testing.F) {
	for _, m := range []proto.Message{
		&sppb.CommitRequest{Mutations: []*sppb.Mutation{{Operation: &sppb.Mutation_Insert{Insert: &sppb.Mutation_Write{Table: "T", Columns: []string{"Id", "S"},
			Values: []*structpb.ListValue{{Values: []*structpb.Value{structpb.NewStringValue("1"), structpb.NewNullValue()}}}}}}},
			Transaction: &sppb.CommitRequest_SingleUseTransaction{SingleUseTransaction: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadWrite_{}}}},
		&sppb.ReadRequest{Table: "T", Index: "X", Columns: []string{"Id"}, KeySet: &sppb.KeySet{All: true, Ranges: []*sppb.KeyRange{{}}}},
		&sppb.ExecuteSqlRequest{Sql: "SELECT @p1", ParamTypes: map[string]*sppb.Type{"p1": {Code: sppb.TypeCode_ARRAY}}},
		&sppb.ExecuteBatchDmlRequest{Statements: []*sppb.ExecuteBatchDmlRequest_Statement{{Sql: "DELETE FROM T WHERE TRUE"}}},
		&sppb.BeginTransactionRequest{Options: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadOnly_{}}},
		&sppb.PartitionQueryRequest{Sql: "SELECT Id FROM T WHERE Id > 1", Transaction: &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Begin{
			Begin: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadOnly_{}}}}, PartitionOptions: &sppb.PartitionOptions{PartitionSizeBytes: 1, MaxPartitions: 3}},
		&sppb.PartitionReadRequest{Table: "T", Index: "X", Columns: []string{"Id"}, KeySet: &sppb.KeySet{All: true}, Transaction: &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Begin{
			Begin: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadOnly_{}}}}}, &sppb.BatchWriteRequest{MutationGroups: []*sppb.BatchWriteRequest_MutationGroup{{}}},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		for kind := range byte(8) {
			f.Add(raw, kind)
			for mutant := range mutants.Of(raw, 20) {
				f.Add(mutant, kind)
			}
		}
	}
	s := fuzzServer(f)
	service := &spannerService{Server: s}
	const session = fuzzDatabase + "google/sessions/x"
	f.Fuzz(func(t *testing.T, raw []byte, kind byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		switch kind % 8 {
		case 0:
			m := &sppb.CommitRequest{}
			decoded(raw, m, func() { m.Session = session; service.Commit(ctx, m) })
		case 1:
			m := &sppb.ReadRequest{}
			decoded(raw, m, func() { m.Session = session; service.Read(ctx, m) })
		case 2:
			m := &sppb.ExecuteSqlRequest{}
			decoded(raw, m, func() { m.Session = session; service.ExecuteStreamingSql(m, &sink{ctx: ctx}) })
		case 3:
			m := &sppb.ExecuteBatchDmlRequest{}
			decoded(raw, m, func() { m.Session = session; service.ExecuteBatchDml(ctx, m) })
		case 4:
			m := &sppb.BeginTransactionRequest{}
			decoded(raw, m, func() { m.Session = session; service.BeginTransaction(ctx, m) })
		case 5:
			m := &sppb.PartitionQueryRequest{}
			decoded(raw, m, func() { m.Session = session; service.PartitionQuery(ctx, m) })
		case 6:
			m := &sppb.ReadRequest{}
			decoded(raw, m, func() { m.Session = session; service.StreamingRead(m, &sink{ctx: ctx}) })
		case 7:
			m := &sppb.PartitionReadRequest{}
			decoded(raw, m, func() { m.Session = session; service.PartitionRead(ctx, m) })
		}
	})
}

// decoded runs do if the bytes are a message; what it answers does not matter.
func decoded(raw []byte, m proto.Message, do func()) {
	if proto.Unmarshal(raw, m) == nil {
		do()
	}
}

// sink is a stream that drops what it is sent.
type sink struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *sink) Send(*sppb.PartialResultSet) error { return nil }
func (s *sink) SendMsg(any) error                 { return nil }
func (s *sink) Context() context.Context          { return s.ctx }
func (s *sink) SetTrailer(metadata.MD)            {}
