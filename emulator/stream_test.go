package emulator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/conformance"
)

func TestChurn_TransactionOverSeveralPartitions(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 1, 2, 3, 4)
	if err := f.Churn(database, "S", emulator.Split, ""); err != nil {
		t.Fatal(err)
	}
	at := f.put(t, 1, 2, 3, 4)
	records := f.data(t, at, at)
	if len(records) != 2 {
		t.Fatalf("%d records, want one in each half: %+v", len(records), records)
	}
	mods := 0
	for _, r := range records {
		mods += len(r.Mods)
		if r.NumberOfPartitions != 2 || r.NumberOfRecords != 2 || !r.Last {
			t.Errorf("record %+v, want 2 records in 2 partitions, each the last in its own", r)
		}
	}
	if mods != 4 || records[0].Sequence == records[1].Sequence {
		t.Errorf("%d mods, sequences %s and %s", mods, records[0].Sequence, records[1].Sequence)
	}
}

func TestChurn_SplitMergeMoveByHand(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	at := f.put(t, 1, 2, 3, 4)
	first, err := f.Partitions(database, "S")
	if err != nil || len(first) != 2 {
		t.Fatalf("%v %v", first, err)
	}
	children := func(token string) []conformance.Partition {
		rows, err := f.rows(t, token, at, time.Time{})
		if err != nil || len(rows) == 0 || rows[len(rows)-1].Child == nil {
			t.Fatalf("no child record: %v %v", rows, err)
		}
		return rows[len(rows)-1].Child.Partitions
	}
	for _, step := range []struct {
		change emulator.Change
		open   int
	}{{emulator.Split, 3}, {emulator.Merge, 2}, {emulator.Move, 2}} {
		if err := f.Churn(database, "S", step.change, ""); err != nil {
			t.Fatalf("%s: %v", step.change, err)
		}
		if open, _ := f.Partitions(database, "S"); len(open) != step.open {
			t.Errorf("after %s %d partitions are open, want %d", step.change, len(open), step.open)
		}
	}
	if got := children(first[0]); len(got) != 2 || got[0].Parents[0] != first[0] {
		t.Errorf("children of the split: %+v", got)
	}
	if err := f.Churn(database, "S", emulator.Move, "no token"); !errors.Is(err, emulator.ErrChurn) {
		t.Errorf("unknown token: %v", err)
	}
	if got := f.tokens(t, at); len(got) != 2 || got[0] != first[0] {
		t.Errorf("the initial query at a past instant names %v", got)
	}
}

func TestChurn_ByLoad(t *testing.T) {
	f := start(t, emulator.Options{ChurnLoad: 50, Partitions: 1}, emulator.GoogleSQL, itemsDDL...)
	deadline := time.Now().Add(20 * time.Second)
	for id := int64(0); time.Now().Before(deadline); id += 10 {
		f.put(t, id, id+1, id+2, id+3, id+4, id+5, id+6, id+7)
		if open, _ := f.Partitions(database, "S"); len(open) > 1 {
			return
		}
	}
	t.Fatal("no partition split under load")
}

func TestRetention_OldRecordsAreOutOfRange(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	old := f.put(t, 1)
	token := f.tokens(t, old)[0]
	f.Advance(25 * time.Hour)
	_, err := f.rows(t, token, old, time.Time{})
	if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "too far in the past") {
		t.Errorf("after retention: %v", err)
	}
	if at := f.put(t, 2); len(f.data(t, at, at)) != 1 {
		t.Error("a new record is not readable")
	}
}

func TestLog_IsBounded(t *testing.T) {
	f := start(t, emulator.Options{MaxLogBytes: 1 << 20, Partitions: 1}, emulator.GoogleSQL, itemsDDL...)
	first := f.put(t, 1)
	token := f.tokens(t, first)[0]
	if _, err := f.Load(limit(t), emulator.Load{Database: database, Stream: "S", Table: "Items", Records: 20_000}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.rows(t, token, first, f.Now()); status.Code(err) != codes.OutOfRange {
		t.Errorf("the oldest records were not let go: %v", err)
	}
}

func TestAdvance_WakesHeartbeatsAndEnds(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	at := f.put(t, 1)
	idle := f.tokens(t, at)[1]
	end := at.Add(10 * time.Minute)
	ended := make(chan error, 1)
	rows := 0
	go func() {
		q := f.query(idle, at, end)
		q.Heartbeat = time.Minute
		ended <- conformance.RunQuery(limit(t), f.conn, q, func(conformance.Row) error { rows++; return nil })
	}()
	for {
		select {
		case err := <-ended:
			if err != nil || rows < 1 {
				t.Errorf("%d rows, %v", rows, err)
			}
			return
		case <-time.After(5 * time.Millisecond):
			f.Advance(time.Minute)
		}
	}
}

// TestMutable_RecordsEventsAndEnd reads a stream whose partitions change their
// key ranges while they live.
func TestMutable_RecordsEventsAndEnd(t *testing.T) {
	for _, d := range []emulator.Dialect{emulator.GoogleSQL, emulator.PostgreSQL} {
		t.Run(string(d), func(t *testing.T) {
			ddl := []string{"CREATE TABLE Items (Id INT64 NOT NULL, V STRING(MAX), N INT64) PRIMARY KEY (Id)",
				"CREATE CHANGE STREAM S FOR ALL OPTIONS (partition_mode = 'MUTABLE_KEY_RANGE')"}
			if d == emulator.PostgreSQL {
				ddl = []string{`CREATE TABLE "Items" ("Id" bigint NOT NULL, "V" varchar, "N" bigint, PRIMARY KEY ("Id"))`,
					`CREATE CHANGE STREAM "S" FOR ALL WITH (partition_mode = 'MUTABLE_KEY_RANGE')`}
			}
			f := start(t, emulator.Options{}, d, ddl...)
			begin := f.put(t, 1, 2, 3, 4)
			roots := f.records(t, "", begin, begin)
			if len(roots) != 2 || roots[0].GetPartitionStartRecord() == nil {
				t.Fatalf("initial query: %v", roots)
			}
			holder := roots[0].GetPartitionStartRecord().PartitionTokens[0]
			if err := f.Churn(database, "S", emulator.Split, holder); err != nil {
				t.Fatal(err)
			}
			upper := f.records(t, holder, begin, f.Now())
			if len(upper) != 3 || upper[0].GetDataChangeRecord() == nil || upper[1].GetPartitionStartRecord() == nil ||
				len(upper[2].GetPartitionEventRecord().GetMoveOutEvents()) != 1 {
				t.Fatalf("data, start of the new partition and a move-out, not %v", upper)
			}
			if mods := upper[0].GetDataChangeRecord().Mods; len(mods) != 4 || mods[0].Keys[0].Value.GetStringValue() != "1" {
				t.Errorf("mods %v", mods)
			}
			token := upper[1].GetPartitionStartRecord().PartitionTokens[0]
			born := upper[1].GetPartitionStartRecord().StartTimestamp.AsTime()
			if err := f.Churn(database, "S", emulator.Merge, holder); err != nil {
				t.Fatal(err)
			}
			life := f.records(t, token, born, f.Now())
			if len(life) != 3 || life[0].GetPartitionEventRecord().GetMoveInEvents()[0].SourcePartitionToken != holder ||
				len(life[1].GetPartitionEventRecord().GetMoveOutEvents()) != 1 || life[2].GetPartitionEndRecord() == nil {
				t.Errorf("move-in, move-out and end, not %v", life)
			}
		})
	}
}

// TestMutable_TwoPartitionsExchangeTheirRanges: each tells of what it got and
// gave, at one timestamp, and has the other's keys from then on.
func TestMutable_TwoPartitionsExchangeTheirRanges(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL[0], "CREATE CHANGE STREAM S FOR ALL OPTIONS (partition_mode = 'MUTABLE_KEY_RANGE')")
	begin := f.put(t, 1, 2, 3, 4)
	var tokens []string
	for _, r := range f.records(t, "", begin, begin) {
		tokens = append(tokens, r.GetPartitionStartRecord().PartitionTokens...)
	}
	if err := f.Churn(database, "S", emulator.Exchange, tokens[0]); err != nil {
		t.Fatal(err)
	}
	f.put(t, 5)
	for i, data := range [][2]bool{{true, false}, {false, true}} { // before, and after
		token, other := tokens[i], tokens[1-i]
		var events []*sppb.ChangeStreamRecord_PartitionEventRecord
		var before, after bool
		for _, r := range f.records(t, token, begin, f.Now()) {
			if e := r.GetPartitionEventRecord(); e != nil {
				events = append(events, e)
			} else if len(events) == 0 {
				before = true
			} else {
				after = true
			}
		}
		if len(events) != 2 || !events[0].CommitTimestamp.AsTime().Equal(events[1].CommitTimestamp.AsTime()) ||
			events[0].MoveInEvents[0].SourcePartitionToken != other || events[1].MoveOutEvents[0].DestinationPartitionToken != other {
			t.Errorf("partition %d: a move-in and a move-out at one timestamp, not %v", i, events)
		}
		if before != data[0] || after != data[1] {
			t.Errorf("partition %d: data before the exchange %v, after it %v", i, before, after)
		}
	}
	plain := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	plain.put(t, 1)
	if err := plain.Churn(database, "S", emulator.Exchange, ""); !errors.Is(err, emulator.ErrChurn) {
		t.Errorf("an exchange in a stream whose ranges are fixed: %v", err)
	}
}

func TestMutable_WantsABoundedWindow(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL[0], "CREATE CHANGE STREAM S FOR ALL OPTIONS (partition_mode = 'MUTABLE_KEY_RANGE')")
	at := f.put(t, 1)
	for name, end := range map[string]time.Time{"no end": {}, "an end too far ahead": at.Add(time.Hour)} {
		if err := f.readProto(t, "", at, end, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestExclude_TransactionStaysOutOfStreamsThatAllowIt(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL[0], "CREATE CHANGE STREAM S FOR ALL OPTIONS (allow_txn_exclusion = true)")
	from := f.put(t, 1)
	at, err := f.client.Apply(limit(t), []*spanner.Mutation{spanner.Insert("Items", []string{"Id"}, []any{2})}, spanner.ExcludeTxnFromChangeStreams())
	if err != nil {
		t.Fatal(err)
	}
	if got := f.data(t, from, at); len(got) != 1 {
		t.Errorf("%d records, want only that of the transaction that did not ask", len(got))
	}
}

func TestBackfill_IsASystemTransaction(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	from := f.put(t, 1, 2)
	f.alter(t, "ALTER TABLE Items ADD COLUMN D INT64 DEFAULT (7)")
	got := f.data(t, from, f.Now())
	if len(got) != 2 || !got[1].System || len(got[1].Mods) != 2 || got[1].Mods[0].New != `{"D":"7"}` {
		t.Errorf("got %+v, want an update of both rows by a system transaction", got)
	}
}

func TestPreparedMetadataTables(t *testing.T) {
	for d, ddl := range map[emulator.Dialect]string{
		emulator.GoogleSQL: `CREATE TABLE SpancastPartitions (ChangeStream STRING(128) NOT NULL, Token STRING(MAX) NOT NULL, Parents ARRAY<STRING(MAX)>,
			StartTimestamp TIMESTAMP NOT NULL, State STRING(16) NOT NULL, LeaseEpoch INT64 NOT NULL) PRIMARY KEY (ChangeStream, Token)`,
		emulator.PostgreSQL: `CREATE TABLE "SpancastPartitions" ("ChangeStream" varchar(128) NOT NULL, "Token" varchar NOT NULL, "Parents" text[],
			"StartTimestamp" timestamptz NOT NULL, "State" varchar(16) NOT NULL, "LeaseEpoch" bigint NOT NULL, PRIMARY KEY ("ChangeStream", "Token"))`,
	} {
		t.Run(string(d), func(t *testing.T) {
			f := start(t, emulator.Options{}, d, ddl)
			m := spanner.Insert("SpancastPartitions", []string{"ChangeStream", "Token", "Parents", "StartTimestamp", "State", "LeaseEpoch"},
				[]any{"S", "t1", []string{"p1", "p2"}, f.Now(), "created", 1})
			if _, err := f.client.Apply(limit(t), []*spanner.Mutation{m}); err != nil {
				t.Fatal(err)
			}
			row, err := f.client.Single().ReadRow(limit(t), "SpancastPartitions", spanner.Key{"S", "t1"}, []string{"Parents", "LeaseEpoch"})
			if err != nil {
				t.Fatal(err)
			}
			var parents []string
			var epoch int64
			if err := row.Columns(&parents, &epoch); err != nil || len(parents) != 2 || epoch != 1 {
				t.Errorf("%v %d %v", parents, epoch, err)
			}
			sql, params := "SELECT Token, State FROM SpancastPartitions WHERE ChangeStream = @s AND State != 'finished'", map[string]any{"s": "S"}
			if d == emulator.PostgreSQL {
				sql, params = `SELECT "Token", "State" FROM "SpancastPartitions" WHERE "ChangeStream" = $1 AND "State" != 'finished'`, map[string]any{"p1": "S"}
			}
			if got, err := f.texts(t, sql, params); err != nil || len(got) != 1 || got[0] != "t1|created" {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}

func TestStream_TableOfANamedSchema(t *testing.T) {
	for d, ddl := range map[emulator.Dialect][]string{
		emulator.GoogleSQL:  {"CREATE SCHEMA sales", "CREATE TABLE sales.Orders (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)", "CREATE CHANGE STREAM S FOR sales.Orders(V)"},
		emulator.PostgreSQL: {"CREATE SCHEMA sales", `CREATE TABLE sales."Orders" ("Id" bigint NOT NULL, "V" varchar, PRIMARY KEY ("Id"))`, `CREATE CHANGE STREAM "S" FOR sales."Orders"("V")`},
	} {
		t.Run(string(d), func(t *testing.T) {
			f := start(t, emulator.Options{}, d, ddl...)
			at, err := f.client.Apply(limit(t), []*spanner.Mutation{spanner.Insert("sales.Orders", []string{"Id", "V"}, []any{1, "x"})})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.data(t, at, at); len(got) != 1 || got[0].Table != "sales.Orders" {
				t.Errorf("got %+v", got)
			}
			sql := "SELECT V FROM sales.Orders WHERE Id = 1"
			if d == emulator.PostgreSQL {
				sql = `SELECT "V" FROM sales."Orders" WHERE "Id" = 1`
			}
			if got, err := f.texts(t, sql, nil); err != nil || len(got) != 1 {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}
