package recovery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/test/spannerdb"
)

// snapshot asks, and collects the answer to its end.
func (c *client) snapshot(q message.SnapshotRequest) []*answered {
	c.f.Helper()
	q.ID, q.Credit = "snapshot", plenty
	c.send(message.CommandSnapshot, q)
	return c.collect(q.ID)
}

// apply applies native bodies to a database of rows, by table and key.
func apply(t testing.TB, rows map[string]string, all []*answered) {
	t.Helper()
	for _, m := range changes(all) {
		var mods struct {
			Keys json.RawMessage            `json:"keys"`
			New  map[string]json.RawMessage `json:"new_values"`
		}
		must(t, json.Unmarshal([]byte(m.body), &mods))
		row := m.attrs.Table + string(mods.Keys)
		if m.attrs.Op == "DELETE" {
			if _, ok := rows[row]; !ok {
				t.Errorf("%s deletes %s, which is not there", m.version, row)
			}
			delete(rows, row)
			continue
		}
		if _, ok := rows[row]; ok != (m.attrs.Op == "UPDATE") {
			t.Errorf("%s %s of %s, which is there: %t", m.version, m.attrs.Op, row, ok)
		}
		rows[row] = string(mods.New["V"])
	}
}

// A snapshot, and a replay from where it ends, make the database, while rows
// come, change and go, without hole or overlap: no insert of a row that is
// there, no change of one that is not.
func TestSnapshot_AndTheReplayThatFollowsMakeTheDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{ChurnEvery: 100 * time.Millisecond}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	f.commit(4) // so that the first snapshot has something, however slow the load is
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i, table := range []string{"T", "U"} {
		load.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := n * 7 % 40
				m := spanner.InsertOrUpdate(table, []string{"Id", "V"}, []any{id, n})
				if n%3 == 0 {
					m = spanner.Delete(table, spanner.Key{id})
				}
				if _, err := f.db.Apply(context.Background(), []*spanner.Mutation{m}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	c := f.client()
	for range 5 {
		all := c.snapshot(message.SnapshotRequest{})
		var end message.EndBody
		last(t, all, message.End, &end)
		rows := make(map[string]string)
		for _, m := range changes(all) {
			if m.attrs.Op != "READ" || m.topic != m.attrs.Table+"/READ/" {
				t.Fatalf("%s %s", m.topic, m.header)
			}
			m.attrs.Op = "INSERT"
		}
		apply(t, rows, all)
		if len(rows) == 0 || end.Changes != uint64(len(rows)) {
			t.Errorf("%d rows, %+v", len(rows), end)
		}
		replayed := c.replay(message.ReplayRequest{From: end.Next, To: message.Now})
		var to message.EndBody
		last(t, replayed, message.End, &to)
		apply(t, rows, replayed)
		at, err := time.Parse(time.RFC3339Nano, to.Resolved)
		must(t, err)
		if want := f.database(at.Add(-time.Microsecond)); !maps.Equal(rows, want) {
			t.Errorf("got  %v\nwant %v", rows, want)
		}
	}
	close(stop)
	load.Wait()
}

// database reads all rows as they were.
func (f *fixture) database(at time.Time) map[string]string {
	f.Helper()
	rows := make(map[string]string)
	for _, table := range []string{"T", "U"} {
		err := f.db.Single().WithTimestampBound(spanner.ReadTimestamp(at)).Read(context.Background(), table, spanner.AllKeys(), []string{"Id", "V"}).Do(func(r *spanner.Row) error {
			var id, v int64
			err := r.Columns(&id, &v)
			rows[fmt.Sprintf(`%s{"Id":"%d"}`, table, id)] = fmt.Sprintf(`"%d"`, v)
			return err
		})
		must(f, err)
	}
	return rows
}

// A snapshot goes on behind any row, at the timestamp of its first part.
func TestSnapshot_GoesOnAfterAnyRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL,
		"CREATE TABLE A (K STRING(MAX), N INT64, V BYTES(MAX)) PRIMARY KEY (K DESC, N)",
		"CREATE TABLE B (F FLOAT64, T TIMESTAMP, D DATE, B BYTES(MAX), Y BOOL, M NUMERIC, V INT64) PRIMARY KEY (F, T DESC, D, B, Y, M)",
		"CREATE CHANGE STREAM "+testStream+" FOR A, B")
	f.serve()
	var mutations []*spanner.Mutation
	for i := range 12 {
		k := spanner.NullString{StringVal: fmt.Sprintf("ä/ %%%d", i%4), Valid: i != 3}
		mutations = append(mutations,
			spanner.Insert("A", []string{"K", "N"}, []any{k, 7 * i}),
			spanner.Insert("B", []string{"F", "T", "D", "B", "Y", "M"}, []any{float64(i%3) / 3, time.UnixMicro(int64(i)), spanner.NullDate{}, []byte{byte(i), 255}, i%2 == 0, spanner.NullNumeric{}}))
	}
	_, err := f.db.Apply(context.Background(), mutations)
	must(t, err)
	c := f.client()
	all := changes(c.snapshot(message.SnapshotRequest{}))
	_, err = f.db.Apply(context.Background(), []*spanner.Mutation{spanner.Delete("A", spanner.AllKeys()), spanner.Delete("B", spanner.AllKeys())})
	must(t, err)
	if len(all) != 24 {
		t.Fatalf("%d rows", len(all))
	}
	for i := range all {
		rest := changes(c.snapshot(message.SnapshotRequest{After: all[i].version.String()}))
		if len(rest) != len(all)-i-1 {
			t.Fatalf("after %s: %d rows, want %d", all[i].version, len(rest), len(all)-i-1)
		}
		for k, m := range rest {
			if want := all[i+1+k]; m.version != want.version || m.body != want.body || m.attrs != want.attrs {
				t.Errorf("after %s: %s %s, want %s %s", all[i].version, m.version, m.body, want.version, want.body)
			}
		}
	}
}

// What a snapshot can be asked for.
func TestSnapshot_OfTablesAndTimes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Ignore = func(table string) bool { return table == "U" }
	f.serve()
	f.commit(20)
	at := f.commit(1)
	f.commit(19)
	c := f.client()
	all := c.snapshot(message.SnapshotRequest{At: message.FormatTime(at)})
	rows := versions(all)
	if len(rows) != 10 || rows["T 0"][0] != "2" || rows["T 1"][0] != "1" {
		t.Errorf("%v", rows)
	}
	var begin message.BeginBody
	if must(t, json.Unmarshal([]byte(all[0].body), &begin)); all[0].topic != message.Begin || begin.At != message.FormatTime(at) {
		t.Errorf("%s %+v", all[0].topic, begin)
	}
	for what, q := range map[string]message.SnapshotRequest{
		"does not watch a table": {Tables: []string{"T", "U"}},
		"is in the future":       {At: message.FormatTime(f.server.Now().Add(time.Hour))},
		"not an RFC 3339 time":   {At: "yesterday"},
		"not the version of":     {After: all[0].version.String()},
		"not the timestamp of":   {At: message.FormatTime(at.Add(1)), After: changes(all)[0].version.String()},
	} {
		var e message.ErrorBody
		if last(t, c.snapshot(q), message.Failed, &e); e.Code != message.BadRequest {
			t.Errorf("%s: %+v", what, e)
		}
	}
	old := message.FormatTime(f.server.Now().Add(-2 * time.Hour))
	var gone message.GoneBody
	if last(t, c.snapshot(message.SnapshotRequest{At: old}), message.Gone, &gone); gone.From != old || gone.Oldest <= gone.From {
		t.Errorf("%+v", gone)
	}
}

// onGoogle makes a fixture on Google's emulator.
func onGoogle(t *testing.T, dialect databasepb.DatabaseDialect, ddl ...string) *fixture {
	t.Helper()
	db := spannerdb.New(t, spannerdb.Host(t), dialect, ddl...)
	f := &fixture{TB: t, db: db.Client, rows: make(map[string][]string)}
	f.configure(db.Host, testStream)
	f.opt.Gate = true
	return f
}

// TestKeyColumns_OfWatchedTables, in the order of the key, in both dialects.
func TestKeyColumns_OfWatchedTables(t *testing.T) {
	t.Parallel()
	for dialect, ddl := range map[emulator.Dialect][]string{
		emulator.GoogleSQL: {
			"CREATE TABLE T (Id INT64 NOT NULL, V INT64, Kind STRING(10)) PRIMARY KEY (Kind, Id DESC)",
			"CREATE TABLE U (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)", "CREATE TABLE X (Id INT64 NOT NULL) PRIMARY KEY (Id)",
			"CREATE TABLE Mine (Id INT64 NOT NULL) PRIMARY KEY (Id)", "CREATE CHANGE STREAM " + testStream + " FOR T(V), U, Mine"},
		emulator.PostgreSQL: {
			`CREATE TABLE "T" ("Id" bigint, "V" bigint, "Kind" text, PRIMARY KEY ("Kind", "Id"))`,
			`CREATE TABLE "U" ("Id" bigint PRIMARY KEY, "V" bigint)`, `CREATE TABLE "X" ("Id" bigint PRIMARY KEY)`,
			`CREATE TABLE "Mine" ("Id" bigint PRIMARY KEY)`, `CREATE CHANGE STREAM "` + testStream + `" FOR "T"("V"), "U", "Mine"`},
	} {
		f := newFixture(t, emulator.Options{}, dialect, ddl...)
		got, err := recovery.KeyColumns(t.Context(), f.db, f.opt.Info, func(table string) bool { return table == "Mine" })
		if want := map[string][]string{"T": {"Kind", "Id"}, "U": {"Id"}}; err != nil || !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s: %v, %v", dialect, got, err)
		}
	}
}
