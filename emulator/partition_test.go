package emulator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
)

const partitionedRows = 500

// partitioned is a server with rows enough for several partitions, and a
// transaction that sees them and nothing that comes later.
func partitioned(t *testing.T, d emulator.Dialect) (*fixture, *spanner.BatchReadOnlyTransaction) {
	t.Helper()
	ddl := append(slices.Clone(itemsDDL), "CREATE INDEX ByN ON Items(N DESC)")
	if d == emulator.PostgreSQL {
		ddl = []string{`CREATE TABLE "Items" ("Id" bigint PRIMARY KEY, "V" text, "N" bigint)`, `CREATE INDEX "ByN" ON "Items"("N" DESC)`}
	}
	f := start(t, emulator.Options{}, d, ddl...)
	ids := make([]int64, partitionedRows)
	for i := range ids {
		ids[i] = int64(i) - 100
	}
	f.put(t, ids...)
	tx, err := f.client.BatchReadOnlyTransaction(limit(t), spanner.StrongRead())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tx.Close)
	f.put(t, 10_000)
	return f, tx
}

// parted runs partitions and gives the rows of each.
func parted(t *testing.T, tx *spanner.BatchReadOnlyTransaction, parts []*spanner.Partition, err error) [][]string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for _, p := range parts {
		rows, err := collect(tx.Execute(limit(t), p))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rows)
	}
	return out
}

func whole(parts [][]string) []string {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return all
}

func TestPartitions_AreTogetherTheWholeTable(t *testing.T) {
	for dialect, sql := range map[emulator.Dialect]string{
		emulator.GoogleSQL:  "SELECT Id, V FROM Items AS i WHERE EXISTS (SELECT 1 FROM Items AS o WHERE o.Id = i.Id - 1)",
		emulator.PostgreSQL: `SELECT "Id", "V" FROM "Items" WHERE "Id" > -100`,
	} {
		f, tx := partitioned(t, dialect)
		want := make([]string, 0, partitionedRows)
		for id := -99; id < partitionedRows-100; id++ { // all but the first
			want = append(want, fmt.Sprintf("%d|v%[1]d", id))
		}
		slices.Sort(want)
		parts, err := tx.PartitionQuery(limit(t), stmt(sql), spanner.PartitionOptions{})
		if got := parted(t, tx, parts, err); len(got) != 4 || !slices.Equal(whole(got), want) || slices.ContainsFunc(got, func(p []string) bool { return len(p) < 100 }) {
			t.Errorf("%s: query: %d partitions, %d rows of %d", dialect, len(got), len(whole(got)), len(want))
		}
		first := fmt.Sprintf("%d|v%[1]d", -100)
		want = append(want, first)
		slices.Sort(want)
		for index, columns := range map[string][]string{"": {"Id", "V"}, "ByN": {"N", "Id"}} {
			parts, err := tx.PartitionReadUsingIndex(limit(t), "Items", index, spanner.AllKeys(), columns, spanner.PartitionOptions{})
			got := parted(t, tx, parts, err)
			if index == "" && !slices.Equal(whole(got), want) || len(got) != 4 || len(whole(got)) != partitionedRows || len(slices.Compact(whole(got))) != partitionedRows {
				t.Errorf("%s: read by %q: %d partitions, %d rows", dialect, index, len(got), len(whole(got)))
			}
		}
		f.Close()
	}
}

func TestPartitions_ReadsOfSomeKeys(t *testing.T) {
	_, tx := partitioned(t, emulator.GoogleSQL)
	some := spanner.KeySets(spanner.Key{7}, spanner.KeyRange{Start: spanner.Key{200}, End: spanner.Key{300}, Kind: spanner.ClosedOpen}, spanner.Key{3}, spanner.Key{99_999})
	parts, err := tx.PartitionRead(limit(t), "Items", some, []string{"Id"}, spanner.PartitionOptions{MaxPartitions: 3})
	if got := parted(t, tx, parts, err); len(got) != 3 || len(whole(got)) != 102 || !slices.Contains(got[0], "3") || !slices.Contains(got[0], "7") {
		t.Errorf("%d partitions with %d rows", len(got), len(whole(got)))
	}
}

func TestPartitions_RespectHints(t *testing.T) {
	_, tx := partitioned(t, emulator.GoogleSQL)
	for _, c := range []struct {
		hint spanner.PartitionOptions
		want int
	}{
		{spanner.PartitionOptions{MaxPartitions: 1}, 1}, {spanner.PartitionOptions{MaxPartitions: 2}, 2}, {spanner.PartitionOptions{MaxPartitions: 10}, 10},
		{spanner.PartitionOptions{MaxPartitions: 10_000}, partitionedRows / 16},
		{spanner.PartitionOptions{PartitionBytes: 1 << 30}, 1}, {spanner.PartitionOptions{PartitionBytes: 1}, partitionedRows},
		{spanner.PartitionOptions{PartitionBytes: 1, MaxPartitions: 20}, 20},
	} {
		parts, err := tx.PartitionQuery(limit(t), stmt("SELECT Id FROM Items"), c.hint)
		if got := parted(t, tx, parts, err); len(got) != c.want || len(whole(got)) != partitionedRows {
			t.Errorf("%+v: %d partitions with %d rows, want %d", c.hint, len(got), len(whole(got)), c.want)
		}
	}
}

func TestPartitions_OfLittleAreOne(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	tx, err := f.client.BatchReadOnlyTransaction(limit(t), spanner.StrongRead())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for _, sql := range []string{"SELECT * FROM Items", "SELECT a.Id FROM Items AS a JOIN Items AS b ON a.Id = b.Id", "SELECT table_name FROM information_schema.tables"} {
		if parts, err := tx.PartitionQuery(limit(t), stmt(sql), spanner.PartitionOptions{}); err != nil || len(parts) != 1 {
			t.Errorf("%s: %d partitions, %v", sql, len(parts), err)
		}
	}
}

func TestPartitions_RefuseWhatCannotBeDivided(t *testing.T) {
	f, tx := partitioned(t, emulator.GoogleSQL)
	for sql, what := range map[string]string{
		"SELECT COUNT(*) FROM Items": "aggregate", "SELECT Id FROM Items ORDER BY Id": "ORDER BY", "SELECT Id FROM Items LIMIT 5": "LIMIT",
		"SELECT DISTINCT V FROM Items": "DISTINCT", "SELECT V FROM Items GROUP BY V": "GROUP BY", "SELECT 1 UNION ALL SELECT 2": "set operation",
		"DELETE FROM Items WHERE TRUE": "DML", "SELECT Nothing FROM Items": "Nothing",
	} {
		if _, err := tx.PartitionQuery(limit(t), stmt(sql), spanner.PartitionOptions{}); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	api := sppb.NewSpannerClient(f.conn)
	begin := &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Begin{Begin: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadOnly_{ReadOnly: &sppb.TransactionOptions_ReadOnly{}}}}}
	read := &sppb.PartitionReadRequest{Session: database + "/sessions/x", Table: "Items", Columns: []string{"Id"}, KeySet: &sppb.KeySet{All: true}, Transaction: begin}
	got, err := api.PartitionRead(limit(t), read)
	if err != nil || len(got.Partitions) != 4 {
		t.Fatalf("%d partitions, %v", len(got.GetPartitions()), err)
	}
	byID := &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Id{Id: got.Transaction.Id}}
	good := &sppb.ReadRequest{Session: read.Session, Table: "Items", Columns: []string{"Id"}, KeySet: read.KeySet, Transaction: byID, PartitionToken: got.Partitions[0].PartitionToken}
	if rows, err := api.Read(limit(t), good); err != nil || len(rows.Rows) == 0 {
		t.Fatalf("%v %v", rows, err)
	}
	for name, change := range map[string]func(*sppb.ReadRequest){
		"other columns":    func(r *sppb.ReadRequest) { r.Columns = []string{"V"} },
		"single use":       func(r *sppb.ReadRequest) { r.Transaction = nil },
		"a limit":          func(r *sppb.ReadRequest) { r.Limit = 1 },
		"no token of ours": func(r *sppb.ReadRequest) { r.PartitionToken = []byte("{}") },
	} {
		bad := &sppb.ReadRequest{Session: good.Session, Table: good.Table, Columns: good.Columns, KeySet: good.KeySet, Transaction: good.Transaction, PartitionToken: good.PartitionToken}
		change(bad)
		if _, err := api.Read(limit(t), bad); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
