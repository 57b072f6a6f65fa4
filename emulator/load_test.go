package emulator_test

import (
	"errors"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/conformance"
)

// What a synthetic load makes is what a reader would see of inserts: with the
// timestamp of its time, and spread over the partitions.
func TestLoad_MakesRecordsThatCanBeRead(t *testing.T) {
	f := start(t, emulator.Options{Partitions: 2}, emulator.GoogleSQL, itemsDDL...)
	from := f.Now()
	if _, err := f.Load(limit(t), emulator.Load{Database: database, Stream: "S", Table: "Items", Records: 100}); err != nil {
		t.Fatal(err)
	}
	to := f.Now()
	records := 0
	for _, token := range f.tokens(t, to) {
		rows, err := f.rows(t, token, from, to)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, row := range rows {
			if row.Data == nil {
				continue
			}
			if at := row.Data.CommitTimestamp; at.Before(from) || at.After(to) {
				t.Errorf("commit timestamp %s", at)
			}
			n++
		}
		if n == 0 {
			t.Error("a partition got nothing")
		}
		records += n
	}
	if records != 100 {
		t.Errorf("%d records", records)
	}
}

// TestLoad_RecordsAreLikeThoseOfCommits: they can be decoded, and no key and no
// transaction comes twice.
func TestLoad_RecordsAreLikeThoseOfCommits(t *testing.T) {
	f := start(t, emulator.Options{Partitions: 1}, emulator.GoogleSQL, itemsDDL...)
	from := f.Now()
	if n, err := f.Load(limit(t), emulator.Load{Database: database, Stream: "S", Table: "Items", Records: 200}); n != 200 || err != nil {
		t.Fatal(n, err)
	}
	to, seen := f.Now(), map[string]bool{}
	for _, r := range f.data(t, from, to) {
		if r.CommitTimestamp.Before(from) || r.CommitTimestamp.After(to) || len(r.Mods) != 1 || seen[r.Mods[0].Keys] || seen[r.ServerTransactionID] {
			t.Fatalf("%+v", r)
		}
		seen[r.Mods[0].Keys], seen[r.ServerTransactionID] = true, true
	}
	if len(seen) != 400 {
		t.Errorf("%d records", len(seen)/2)
	}
}

// TestLoad_KeysComeAgainInOneOrder: with so many keys, each mod has the next, and
// after the last comes the first again; frames hold as many records as was asked.
func TestLoad_KeysComeAgainInOneOrder(t *testing.T) {
	f := start(t, emulator.Options{Partitions: 1, Faults: emulator.Faults{RowsPerFrame: 7}}, emulator.GoogleSQL, itemsDDL...)
	from := f.Now()
	if n, err := f.Load(limit(t), emulator.Load{Database: database, Stream: "S", Table: "Items", Records: 20, Mods: 3, Keys: 6}); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	to, seen := f.Now(), map[string]int{}
	for _, r := range f.data(t, from, to) {
		if len(r.Mods) != 3 {
			t.Fatalf("%d mods", len(r.Mods))
		}
		for i, m := range r.Mods {
			if seen[m.Keys]++; i > 0 && m.Keys == r.Mods[i-1].Keys {
				t.Errorf("two mods of one record are of row %s", m.Keys)
			}
		}
	}
	if len(seen) != 6 {
		t.Fatalf("keys %v", seen)
	}
	for key, n := range seen {
		if n != 10 {
			t.Errorf("row %s came %d times, not 10", key, n)
		}
	}
	parts, err := f.parts(limit(t), t, f.query(f.tokens(t, to)[0], from, to), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if len(p.Values) > 7 {
			t.Errorf("a frame of %d records", len(p.Values))
		}
	}
}

// TestLoad_LargeRecordsWaitForTheReader: records of 100 KB do not run away from who
// reads them, out of the 8 MB that are kept.
func TestLoad_LargeRecordsWaitForTheReader(t *testing.T) {
	f := start(t, emulator.Options{Partitions: 1, MaxLogBytes: 8 << 20}, emulator.GoogleSQL, "CREATE TABLE Items (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)", "CREATE CHANGE STREAM S FOR Items")
	const records = 500
	from := f.Now()
	tokens := f.tokens(t, from)
	if len(tokens) != 1 {
		t.Fatalf("%d partitions", len(tokens))
	}
	read, done := 0, errors.New("all were read")
	ended := make(chan error, 1)
	ctx := limit(t)
	go func() {
		ended <- conformance.RunQuery(ctx, f.conn, f.query(tokens[0], from, from.Add(time.Hour)), func(r conformance.Row) error {
			if r.Data != nil {
				read++
			}
			if read == records {
				return done
			}
			return nil
		})
	}()
	for f.Queries(database, "S") == 0 {
		if ctx.Err() != nil {
			t.Fatal("the query does not run")
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := f.Load(ctx, emulator.Load{Database: database, Stream: "S", Table: "Items", Records: records, TextBytes: 5000, Mods: 20}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, done) {
		t.Errorf("%d of %d records were read: %v", read, records, err)
	}
}
