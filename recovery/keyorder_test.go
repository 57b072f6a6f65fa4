package recovery

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/civil"
	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

const orderTable = `CREATE TABLE T (I INT64, F FLOAT64, B BOOL, S STRING(MAX), Y BYTES(MAX), D DATE, TS TIMESTAMP, N NUMERIC, Id INT64 NOT NULL) PRIMARY KEY `

// fillOrder makes rows of every type of key, NULL and extremes among them, from
// few values, so that they meet.
func fillOrder(t *testing.T, db *spanner.Client, n int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var mutations []*spanner.Mutation
	for id := range n {
		row := map[string]any{"Id": id}
		for column, values := range map[string][]any{
			"I": {-10, 9, 10, math.MinInt64}, "F": {math.NaN(), math.Inf(-1), -0.5, 3.0, 20.0}, "B": {true, false}, "S": {"", "a", "Z", "ä", "aa"},
			"Y": {[]byte{}, []byte{1}, []byte{0xfb}, []byte{0x7f, 1}}, "D": {civil.Date{Year: 999, Month: 1, Day: 1}, civil.Date{Year: 2024, Month: 2, Day: 29}},
			"TS": {time.Unix(0, 0), time.Unix(0, 1000), time.Unix(1, 0)}, "N": {*big.NewRat(-3, 2), *big.NewRat(10, 1), *big.NewRat(9, 1)},
		} {
			if i := rnd.IntN(len(values) + 1); i < len(values) {
				row[column] = values[i]
			}
		}
		mutations = append(mutations, spanner.InsertMap("T", row))
	}
	if _, err := db.Apply(context.Background(), mutations); err != nil {
		t.Fatal(err)
	}
}

// Keys are compared as Spanner sorts them, of every type, in both directions;
// and partitions of a read are put into that order, the empty ones left out.
func TestKeys_AreComparedAsSpannerSortsThem(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := emulator.Start(ctx, emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	for i, key := range []string{"(I, F DESC, B, Id)", "(F, S DESC, Id)", "(S, Y, Id)", "(Y DESC, D, Id)", "(D DESC, TS, Id)", "(TS DESC, N, Id)", "(N DESC, I DESC, B DESC, Id)"} {
		t.Run(key, func(t *testing.T) {
			name := fmt.Sprintf("projects/p/instances/i/databases/d%d", i)
			if err := server.CreateDatabase(name, emulator.GoogleSQL, orderTable+key, "CREATE CHANGE STREAM S FOR ALL"); err != nil {
				t.Fatal(err)
			}
			db, err := spanner.NewClientWithConfig(ctx, name, spanner.ClientConfig{DisableNativeMetrics: true}, server.ClientOptions()...)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			fillOrder(t, db, 200)
			tables, err := catalog{client: db, info: changestream.Info{Stream: "S", WatchesAll: true}}.tables(ctx, func(string) bool { return false })
			if err != nil || len(tables) != 1 {
				t.Fatal(tables, err)
			}
			checkOrder(t, db, &tables[0])
		})
	}
}

func checkOrder(t *testing.T, db *spanner.Client, table *table) {
	t.Helper()
	ctx := t.Context()
	var columns []string
	for _, c := range table.columns {
		columns = append(columns, c.name)
	}
	tx, err := db.BatchReadOnlyTransaction(ctx, spanner.StrongRead())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	var rows []*spanner.Row
	err = tx.Read(ctx, table.name, spanner.AllKeys(), columns).Do(func(r *spanner.Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil || len(rows) != 200 {
		t.Fatal(len(rows), err)
	}
	types := typesOf(table, rows[0])
	for i := range rows[1:] {
		a, b := keyOf(table, rows[i]), keyOf(table, rows[i+1])
		if a.compare(b, types, table.columns) >= 0 || b.compare(a, types, table.columns) <= 0 || a.compare(a, types, table.columns) != 0 {
			t.Fatalf("Spanner has %v before %v", a, b)
		}
		if back, err := parseKey(a.String()); err != nil || back.compare(a, types, table.columns) != 0 {
			t.Fatalf("%v comes back as %v, %v", a, back, err)
		}
	}
	// Partitions as a larger Spanner would make them: of ranges of the key.
	var partitions []*spanner.Partition
	for from := 0; from <= 200; from += 40 {
		r := spanner.KeyRange{Start: keyOf(table, rows[0]).spanner(), End: keyOf(table, rows[min(from, 199)]).spanner(), Kind: spanner.ClosedOpen}
		if from > 0 {
			r.Start = keyOf(table, rows[from-40]).spanner()
		}
		p, err := tx.PartitionRead(ctx, table.name, r, columns, spanner.PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		partitions = append(partitions, p...)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(partitions), func(i, k int) { partitions[i], partitions[k] = partitions[k], partitions[i] })
	sorted, err := inKeyOrder(ctx, tx, table, slices.Clone(partitions))
	if err != nil || len(sorted) != len(partitions)-1 {
		t.Fatalf("%d of %d partitions, %v", len(sorted), len(partitions), err)
	}
	n := 0
	for _, p := range sorted {
		err := tx.Execute(ctx, p).Do(func(r *spanner.Row) error {
			if keyOf(table, r).compare(keyOf(table, rows[n]), types, table.columns) != 0 {
				return fmt.Errorf("row %d is not where it should be", n)
			}
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != 199 { // the last range ends before the last row
		t.Errorf("%d rows", n)
	}
}
