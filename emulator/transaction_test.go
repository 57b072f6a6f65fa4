package emulator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
)

func TestTransaction_ConcurrentIncrementsAreNotLost(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 0)
	ctx := limit(t)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			_, err := f.client.ReadWriteTransaction(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
				row, err := tx.ReadRow(ctx, "Items", spanner.Key{0}, []string{"N"})
				if err != nil {
					return err
				}
				var n int64
				if err := row.Columns(&n); err != nil {
					return err
				}
				return tx.BufferWrite([]*spanner.Mutation{spanner.Update("Items", []string{"Id", "N"}, []any{0, n + 1})})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got, err := f.texts(t, "SELECT N FROM Items", nil); err != nil || got[0] != "20" {
		t.Fatalf("got %v %v, want 20", got, err)
	}
}

// TestTransaction_WriteSkewAborts: two transactions read both rows and each
// writes the other's; only one order of them can be had.
func TestTransaction_WriteSkewAborts(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 1, 2)
	move := func(to int64, between func()) (attempts int, err error) {
		_, err = f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
			sum := int64(0)
			if err := tx.Read(ctx, "Items", spanner.AllKeys(), []string{"N"}).Do(func(r *spanner.Row) error {
				var n int64
				err := r.Columns(&n)
				sum += n
				return err
			}); err != nil {
				return err
			}
			if attempts++; attempts == 1 && between != nil {
				between()
			}
			return tx.BufferWrite([]*spanner.Mutation{spanner.Update("Items", []string{"Id", "N"}, []any{to, sum})})
		})
		return attempts, err
	}
	attempts, err := move(1, func() {
		if n, err := move(2, nil); err != nil || n != 1 {
			t.Errorf("the inner transaction: %d attempts, %v", n, err)
		}
	})
	if err != nil || attempts != 2 {
		t.Errorf("the outer transaction: %d attempts, %v; want 2", attempts, err)
	}
	if got, err := f.texts(t, "SELECT N FROM Items ORDER BY Id", nil); err != nil || !slices.Equal(got, []string{"4", "3"}) {
		t.Errorf("got %v %v; want 1+3, and before that 1+2", got, err)
	}
}

func TestTransaction_PhantomAborts(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	attempts := 0
	_, err := f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		attempts++
		got, err := collect(tx.Query(ctx, spanner.NewStatement("SELECT COUNT(*) FROM Items WHERE N > 5")))
		if err != nil {
			return err
		}
		if attempts == 1 {
			f.put(t, 7) // what the query would now also find
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.Insert("Items", []string{"Id", "V"}, []any{100, got[0]})})
	})
	if err != nil || attempts != 2 {
		t.Fatalf("%d attempts, %v; want a second attempt", attempts, err)
	}
	if got, _ := f.texts(t, "SELECT V FROM Items WHERE Id = 100", nil); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the committed attempt saw %v", got)
	}
}

func TestTransaction_RollbackUndoesDML(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	at := f.put(t, 1)
	stop := errors.New("stop")
	_, err := f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if _, err := tx.Update(ctx, spanner.NewStatement("UPDATE Items SET V = 'changed' WHERE Id = 1")); err != nil {
			return err
		}
		if got, err := collect(tx.Query(ctx, spanner.NewStatement("SELECT V FROM Items"))); err != nil || got[0] != "changed" {
			t.Errorf("DML does not see its own write: %v %v", got, err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if got, _ := f.texts(t, "SELECT V FROM Items", nil); got[0] != "v1" {
		t.Errorf("after rollback: %v", got)
	}
	if got := f.data(t, at, f.Now()); len(got) != 1 {
		t.Errorf("%d records, want only that of the insert", len(got))
	}
}

func TestTransaction_StaleReads(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	first := f.put(t, 1)
	if _, err := f.client.Apply(limit(t), []*spanner.Mutation{spanner.Update("Items", []string{"Id", "V"}, []any{1, "later"}), spanner.Insert("Items", []string{"Id"}, []any{2})}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bound spanner.TimestampBound
		want  []string
	}{
		"exact timestamp": {spanner.ReadTimestamp(first), []string{"1|v1"}},
		"before it":       {spanner.ReadTimestamp(first.Add(-time.Microsecond)), nil},
		"strong":          {spanner.StrongRead(), []string{"1|later", "2|<nil>"}},
		"bounded":         {spanner.MaxStaleness(time.Second), []string{"1|later", "2|<nil>"}},
	} {
		rows := f.client.Single().WithTimestampBound(c.bound).Read(limit(t), "Items", spanner.AllKeys(), []string{"Id", "V"})
		if got, err := collect(rows); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v %v, want %v", name, got, err, c.want)
		}
	}
}

func TestTransaction_ReadOnlySeesOneMoment(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 1)
	tx := f.client.ReadOnlyTransaction()
	defer tx.Close()
	count := func() string {
		got, err := collect(tx.Query(limit(t), spanner.NewStatement("SELECT COUNT(*) FROM Items")))
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	before := count()
	f.put(t, 2, 3)
	if after := count(); after != before {
		t.Errorf("%s rows, then %s within one transaction", before, after)
	}
}

func TestTransaction_ThenReturnBatchAndPartitionedDML(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	ctx := limit(t)
	_, err := f.client.ReadWriteTransaction(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		got, err := collect(tx.Query(ctx, spanner.NewStatement("INSERT INTO Items (Id, N) VALUES (1, 10), (2, 20) THEN RETURN WITH ACTION Id, N + 1 AS M")))
		if err != nil || !slices.Equal(got, []string{"1|11|INSERT", "2|21|INSERT"}) {
			t.Errorf("THEN RETURN: %v %v", got, err)
		}
		counts, err := tx.BatchUpdate(ctx, []spanner.Statement{spanner.NewStatement("UPDATE Items SET N = N * 2 WHERE TRUE"), spanner.NewStatement("DELETE FROM Items WHERE N = 40")})
		if err != nil || !slices.Equal(counts, []int64{2, 1}) {
			t.Errorf("batch: %v %v", counts, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.client.PartitionedUpdate(ctx, spanner.NewStatement("UPDATE Items SET V = 'p' WHERE Id > 0")); err != nil || n != 1 {
		t.Errorf("partitioned: %d %v", n, err)
	}
	if got, _ := f.texts(t, "SELECT Id, V, N FROM Items", nil); !slices.Equal(got, []string{"1|p|20"}) {
		t.Errorf("rows %v", got)
	}
}

func TestTransaction_AbortedCarriesRetryInfo(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.SetFaults(emulator.Faults{AbortEvery: 2})
	attempts := 0
	for range 4 {
		if _, err := f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
			attempts++
			return tx.BufferWrite([]*spanner.Mutation{spanner.InsertOrUpdate("Items", []string{"Id"}, []any{attempts})})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if attempts < 6 {
		t.Errorf("%d attempts for 4 commits of which every other aborts", attempts)
	}
}

func TestTransaction_CommitIsAnsweredAgain(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	api, ctx := sppb.NewSpannerClient(f.conn), limit(t)
	tx, err := api.BeginTransaction(ctx, &sppb.BeginTransactionRequest{Session: database + "/sessions/any",
		Options: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadWrite_{ReadWrite: &sppb.TransactionOptions_ReadWrite{}}}})
	if err != nil {
		t.Fatal(err)
	}
	insert := &sppb.ExecuteSqlRequest{Session: database + "/sessions/any", Sql: "INSERT INTO Items (Id) VALUES (1)", Seqno: 1,
		Transaction: &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Id{Id: tx.Id}}}
	for range 2 { // the same sequence number runs once
		if _, err := api.ExecuteSql(ctx, insert); err != nil {
			t.Fatal(err)
		}
	}
	commit := &sppb.CommitRequest{Session: insert.Session, Transaction: &sppb.CommitRequest_TransactionId{TransactionId: tx.Id}}
	first, err := api.Commit(ctx, commit)
	if err != nil {
		t.Fatal(err)
	}
	second, err := api.Commit(ctx, commit)
	if err != nil || !second.CommitTimestamp.AsTime().Equal(first.CommitTimestamp.AsTime()) {
		t.Errorf("commit again: %v %v, want %v", second, err, first)
	}
}

func TestTransaction_Constraints(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL,
		"CREATE TABLE P (Id INT64 NOT NULL, Name STRING(5), Age INT64, CONSTRAINT Grown CHECK (Age > 17)) PRIMARY KEY (Id)",
		"CREATE TABLE Ch (Id INT64 NOT NULL, Sub INT64 NOT NULL) PRIMARY KEY (Id, Sub), INTERLEAVE IN PARENT P",
		"CREATE TABLE Ref (Id INT64 NOT NULL, P INT64, CONSTRAINT FK FOREIGN KEY (P) REFERENCES P (Id)) PRIMARY KEY (Id)",
		"CREATE UNIQUE INDEX ByName ON P(Name)")
	insert := func(table string, columns []string, values ...any) *spanner.Mutation {
		return spanner.Insert(table, columns, values)
	}
	if _, err := f.client.Apply(limit(t), []*spanner.Mutation{insert("P", []string{"Id", "Name", "Age"}, 1, "a", 20), insert("Ch", []string{"Id", "Sub"}, 1, 1), insert("Ref", []string{"Id", "P"}, 1, 1)}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		m    *spanner.Mutation
		code codes.Code
	}{
		"same key":             {insert("P", []string{"Id"}, 1), codes.AlreadyExists},
		"unique index":         {insert("P", []string{"Id", "Name"}, 2, "a"), codes.AlreadyExists},
		"check":                {insert("P", []string{"Id", "Age"}, 2, 17), codes.OutOfRange},
		"too long":             {insert("P", []string{"Id", "Name"}, 2, "abcdef"), codes.FailedPrecondition},
		"not null":             {insert("Ch", []string{"Id"}, 1), codes.FailedPrecondition},
		"parent missing":       {insert("Ch", []string{"Id", "Sub"}, 9, 1), codes.NotFound},
		"children left":        {spanner.Delete("P", spanner.Key{1}), codes.FailedPrecondition},
		"foreign key":          {insert("Ref", []string{"Id", "P"}, 2, 9), codes.FailedPrecondition},
		"update of nothing":    {spanner.Update("P", []string{"Id", "Age"}, []any{9, 20}), codes.NotFound},
		"unknown table":        {insert("Nothing", []string{"Id"}, 1), codes.NotFound},
		"unknown column":       {insert("P", []string{"Id", "Nothing"}, 2, 2), codes.NotFound},
		"null foreign key":     {insert("Ref", []string{"Id", "P"}, 3, nil), codes.OK},
		"check passes on null": {insert("P", []string{"Id", "Name"}, 3, "c"), codes.OK},
	} {
		if _, err := f.client.Apply(limit(t), []*spanner.Mutation{c.m}); status.Code(err) != c.code {
			t.Errorf("%s: got %v, want %v", name, err, c.code)
		}
	}
}

func TestRead_ByIndexAndRanges(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, append(itemsDDL, "CREATE INDEX ByN ON Items(N DESC) STORING (V)")...)
	f.put(t, 1, 2, 3, 4)
	read := func(index string, keys spanner.KeySet) []string {
		got, err := collect(f.client.Single().ReadUsingIndex(limit(t), "Items", index, keys, []string{"Id", "V"}))
		if err != nil {
			t.Error(err)
		}
		return got
	}
	if got := read("ByN", spanner.AllKeys()); !slices.Equal(got, []string{"4|v4", "3|v3", "2|v2", "1|v1"}) {
		t.Errorf("by index: %v", got)
	}
	if got := read("ByN", spanner.KeyRange{Start: spanner.Key{3}, End: spanner.Key{2}, Kind: spanner.ClosedClosed}); !slices.Equal(got, []string{"3|v3", "2|v2"}) {
		t.Errorf("range of a descending index: %v", got)
	}
	if got := read("", spanner.KeyRange{Start: spanner.Key{1}, End: spanner.Key{3}, Kind: spanner.OpenOpen}); !slices.Equal(got, []string{"2|v2"}) {
		t.Errorf("open range: %v", got)
	}
	if _, err := collect(f.client.Single().ReadUsingIndex(limit(t), "Items", "Nothing", spanner.AllKeys(), []string{"Id"})); status.Code(err) != codes.NotFound {
		t.Errorf("unknown index: %v", err)
	}
}

// TestTransaction_UsedWhileItsRowsAreTaken writes inside the loop over a result
// that is larger than what fits between server and client.
func TestTransaction_UsedWhileItsRowsAreTaken(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	var m []*spanner.Mutation
	for id := range 3000 {
		m = append(m, spanner.Insert("Items", []string{"Id", "V"}, []any{id, strings.Repeat("x", 500)}))
	}
	if _, err := f.client.Apply(limit(t), m); err != nil {
		t.Fatal(err)
	}
	_, err := f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		n := 0
		return tx.Query(ctx, stmt("SELECT Id, V FROM Items")).Do(func(r *spanner.Row) error {
			if n++; n%500 != 1 {
				return nil
			}
			_, err := tx.Update(ctx, stmt("UPDATE Items SET N = 1 WHERE Id = 5"))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTransaction_SnapshotThatWasForgottenIsRefused(t *testing.T) {
	f := start(t, emulator.Options{MaxVersions: 10}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 1)
	tx := f.client.ReadOnlyTransaction()
	defer tx.Close()
	if _, err := collect(tx.Query(limit(t), stmt("SELECT N FROM Items"))); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		f.put(t, 1)
	}
	if got, err := collect(tx.Query(limit(t), stmt("SELECT N FROM Items"))); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v %v of a version that is gone", got, err)
	}
}

// TestTransaction_ATurnEndsWithItsCommit: a transaction that was aborted again
// and again goes first, once; others do not wait for it ever after.
func TestTransaction_ATurnEndsWithItsCommit(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 0)
	forty := func() time.Duration {
		began := time.Now()
		for range 40 {
			f.put(t, 1)
		}
		return time.Since(began)
	}
	before, attempts := forty(), 0
	_, err := f.client.ReadWriteTransaction(limit(t), func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if _, err := tx.ReadRow(ctx, "Items", spanner.Key{0}, []string{"N"}); err != nil {
			return err
		}
		if attempts++; attempts < 6 {
			f.put(t, 0) // what was read is not so any more
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.Update("Items", []string{"Id", "N"}, []any{0, 1})})
	})
	if err != nil || attempts != 6 {
		t.Fatalf("%d attempts, %v", attempts, err)
	}
	if d := forty(); d > before+5*time.Second { // 10 s more, if each waited for the turn
		t.Errorf("40 commits took %s, and %s before", d, before)
	}
}

// TestCommit_TooManyMutations: a commit has at most 80,000, and each column of
// each row counts.
func TestCommit_TooManyMutations(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, "CREATE TABLE Pairs (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)")
	rows := make([]*spanner.Mutation, 40_001)
	for i := range rows {
		rows[i] = spanner.Insert("Pairs", []string{"Id", "V"}, []any{i, i})
	}
	if _, err := f.client.Apply(limit(t), rows); spanner.ErrCode(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "too many mutations") {
		t.Errorf("80,002 mutations: %v", err)
	}
	if _, err := f.client.Apply(limit(t), rows[1:]); err != nil {
		t.Errorf("80,000 mutations: %v", err)
	}
}
