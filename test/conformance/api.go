package conformance

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
)

// apiCase is a case that talks to the API itself, beyond the records of one
// transaction.
type apiCase struct {
	ID       int
	Name     string
	Dialects []Dialect
	Check    func(ctx context.Context, t *testing.T, f *fixture)
}

// fixture is a database with two tables, a stream on the first of them, and
// one committed row.
type fixture struct {
	*database
	server Server
	stream Stream
	before time.Time // after the stream's creation and before the row
	commit time.Time // of the row (1, 'row_1')
}

var fixtureDDL = map[Dialect][]string{
	GoogleSQL: {
		"CREATE TABLE test_table (IntVal INT64 NOT NULL, StringVal STRING(MAX)) PRIMARY KEY (IntVal)",
		"CREATE TABLE test_table2 (IntVal INT64 NOT NULL, StringVal STRING(MAX)) PRIMARY KEY (IntVal)",
		"CREATE CHANGE STREAM test_stream FOR test_table OPTIONS (value_capture_type = 'NEW_VALUES')",
	},
	PostgreSQL: {
		`CREATE TABLE test_table ("IntVal" bigint NOT NULL, "StringVal" varchar, PRIMARY KEY ("IntVal"))`,
		`CREATE TABLE test_table2 ("IntVal" bigint NOT NULL, "StringVal" varchar, PRIMARY KEY ("IntVal"))`,
		`CREATE CHANGE STREAM test_stream FOR test_table WITH (value_capture_type = 'NEW_VALUES')`,
	},
}

func newFixture(ctx context.Context, server Server, dialect Dialect) (*fixture, error) {
	db, err := server.create(ctx, dialect, fixtureDDL[dialect])
	if err != nil {
		return nil, err
	}
	f := &fixture{database: db, server: server, stream: Stream{Database: db.name, Name: "test_stream", Dialect: dialect}}
	err = f.put(ctx, "test_table2", 1) // not watched; its time lies in the life of the stream
	f.before = f.commit
	if err == nil {
		err = f.put(ctx, "test_table", 1)
	}
	if err != nil {
		db.close()
		return nil, err
	}
	return f, nil
}

// put inserts a row and notes its commit timestamp.
func (f *fixture) put(ctx context.Context, table string, id int64) (err error) {
	f.commit, err = f.client.Apply(ctx, []*spanner.Mutation{
		spanner.Insert(table, []string{"IntVal", "StringVal"}, []any{id, fmt.Sprintf("row_%d", id)})})
	return err
}

// rows runs one query of the fixture's stream.
func (f *fixture) rows(ctx context.Context, q Query) ([]Row, error) {
	q.Stream = f.stream
	return rows(ctx, f.conn, q)
}

// holder finds the partition that has the data of the commit, and another one.
func (f *fixture) holder(ctx context.Context, t *testing.T) (holder, idle string) {
	t.Helper()
	roots, err := f.rows(ctx, Query{Start: f.commit})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens(roots) {
		got, err := f.rows(ctx, Query{Start: f.commit, End: f.commit, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if count(got).data > 0 {
			holder = token
		} else {
			idle = token
		}
	}
	if holder == "" || idle == "" {
		t.Fatalf("of %d partitions, none with the row or none without", len(tokens(roots)))
	}
	return holder, idle
}

// tally counts rows by kind.
type tally struct{ data, heartbeats, children int }

func count(in []Row) (n tally) {
	for _, row := range in {
		switch {
		case row.Data != nil:
			n.data++
		case row.Child != nil:
			n.children++
		default:
			n.heartbeats++
		}
	}
	return n
}

// expect runs a query and checks what kinds of rows come.
func (f *fixture) expect(ctx context.Context, t *testing.T, q Query, want tally) []Row {
	t.Helper()
	got, err := f.rows(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if count(got) != want {
		t.Fatalf("got %+v, want %+v: %+v", count(got), want, got)
	}
	return got
}

// runAPI runs each case on a database of its own, in each of its dialects.
func runAPI(t *testing.T, server Server, cases []apiCase) {
	for _, c := range cases {
		if len(server.Only) > 0 && !slices.Contains(server.Only, c.ID) {
			continue
		}
		for _, dialect := range c.Dialects {
			t.Run(fmt.Sprintf("%03d_%s/%s", c.ID, c.Name, dialect), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
				defer cancel()
				f, err := newFixture(ctx, server, dialect)
				if err != nil {
					t.Fatal(err)
				}
				defer f.close()
				c.Check(ctx, t, f)
			})
		}
	}
}
