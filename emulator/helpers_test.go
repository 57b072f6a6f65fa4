package emulator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/conformance"
)

const database = "projects/p/instances/i/databases/db"

// fixture is a server with one database and a client on it.
type fixture struct {
	*emulator.Server
	client  *spanner.Client
	conn    *grpc.ClientConn
	dialect emulator.Dialect
}

func start(t testing.TB, o emulator.Options, d emulator.Dialect, ddl ...string) *fixture {
	t.Helper()
	s, err := emulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CreateDatabase(database, d, ddl...); err != nil {
		t.Fatal(err)
	}
	client, err := spanner.NewClient(t.Context(), database, s.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &fixture{Server: s, client: client, conn: conn, dialect: d}
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var itemsDDL = []string{
	"CREATE TABLE Items (Id INT64 NOT NULL, V STRING(MAX), N INT64) PRIMARY KEY (Id)",
	"CREATE CHANGE STREAM S FOR ALL",
}

// put writes rows of Items in one transaction.
func (f *fixture) put(t testing.TB, ids ...int64) time.Time {
	t.Helper()
	var m []*spanner.Mutation
	for _, id := range ids {
		m = append(m, spanner.InsertOrUpdate("Items", []string{"Id", "V", "N"}, []any{id, fmt.Sprint("v", id), id}))
	}
	at, err := f.client.Apply(limit(t), m)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (f *fixture) query(token string, from, to time.Time) conformance.Query {
	d := conformance.GoogleSQL
	if f.dialect == emulator.PostgreSQL {
		d = conformance.PostgreSQL
	}
	return conformance.Query{Stream: conformance.Stream{Database: database, Name: "S", Dialect: d}, Start: from, End: to, Token: token}
}

// rows runs a change stream query to its end.
func (f *fixture) rows(t testing.TB, token string, from, to time.Time) ([]conformance.Row, error) {
	var out []conformance.Row
	err := conformance.RunQuery(limit(t), f.conn, f.query(token, from, to), func(r conformance.Row) error {
		out = append(out, r)
		return nil
	})
	return out, err
}

// tokens lists the partitions that an initial query at a timestamp names.
func (f *fixture) tokens(t testing.TB, at time.Time) []string {
	t.Helper()
	rows, err := f.rows(t, "", at, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		for _, p := range r.Child.Partitions {
			out = append(out, p.Token)
		}
	}
	return out
}

// data reads the data records of all partitions that were open at a timestamp.
func (f *fixture) data(t testing.TB, from, to time.Time) []conformance.Record {
	t.Helper()
	var out []conformance.Record
	for _, token := range f.tokens(t, from) {
		rows, err := f.rows(t, token, from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Data != nil {
				out = append(out, *r.Data)
			}
		}
	}
	slices.SortFunc(out, func(a, b conformance.Record) int {
		return strings.Compare(a.CommitTimestamp.String()+a.Sequence, b.CommitTimestamp.String()+b.Sequence)
	})
	return out
}

// texts runs a query and gives its rows as texts, "a|b".
func (f *fixture) texts(t testing.TB, sql string, params map[string]any) ([]string, error) {
	return collect(f.client.Single().Query(limit(t), spanner.Statement{SQL: sql, Params: params}))
}

func collect(rows *spanner.RowIterator) ([]string, error) {
	var out []string
	err := rows.Do(func(r *spanner.Row) error {
		var columns []string
		for i := range r.Size() {
			var v spanner.GenericColumnValue
			if err := r.Column(i, &v); err != nil {
				return err
			}
			columns = append(columns, fmt.Sprint(v.Value.AsInterface()))
		}
		out = append(out, strings.Join(columns, "|"))
		return nil
	})
	return out, err
}

func stmt(sql string) spanner.Statement { return spanner.NewStatement(sql) }

// returning runs DML in a transaction and gives the rows of THEN RETURN.
func (f *fixture) returning(t testing.TB, sql string) (rows []string, err error) {
	_, err = f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		rows, err = collect(tx.Query(ctx, stmt(sql)))
		return err
	})
	return rows, err
}

func (f *fixture) dml(t testing.TB, sql string) error {
	_, err := f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		_, err := tx.Update(ctx, stmt(sql))
		return err
	})
	return err
}

// ddl gives the database's schema as it is printed.
func (f *fixture) ddl(t testing.TB) []string {
	t.Helper()
	got, err := databasepb.NewDatabaseAdminClient(f.conn).GetDatabaseDdl(limit(t), &databasepb.GetDatabaseDdlRequest{Database: database})
	if err != nil {
		t.Fatal(err)
	}
	return got.Statements
}
