package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"
)

// caseLimit bounds one case, so that a server that hangs fails instead.
const caseLimit = 90 * time.Second

// Collector reads the records of change streams by whatever way is under test.
// Its methods are called by several groups of cases at once.
type Collector interface {
	// Open is called once for a stream, before the first transaction that is
	// looked at is committed.
	Open(ctx context.Context, s Stream) error
	// Collect returns all records of s with this commit timestamp, in order of
	// arrival, once it is certain that there are no more.
	Collect(ctx context.Context, s Stream, commit time.Time) ([]Record, error)
	// Close ends what Open began.
	Close(s Stream) error
}

// Run runs the data-record cases against server and reads them with collector.
func Run(t *testing.T, server Server, collector Collector) {
	for _, group := range grouped(Cases()) {
		for _, dialect := range group[0].Dialects {
			t.Run(group[0].Schema.Name+"/"+string(dialect), func(t *testing.T) {
				t.Parallel()
				runGroup(t, server, collector, dialect, group)
			})
		}
	}
}

// grouped puts the cases of one schema together, in order.
func grouped(cases []Case) [][]Case {
	var out [][]Case
	index := map[string]int{}
	for _, c := range cases {
		i, ok := index[c.Schema.Name]
		if !ok {
			i = len(out)
			index[c.Schema.Name] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

// runGroup makes the group's database and runs its cases one after the other.
func runGroup(t *testing.T, server Server, collector Collector, dialect Dialect, cases []Case) {
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	db, err := server.create(ctx, dialect, cases[0].Schema.DDL[dialect])
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	opened := map[string]bool{}
	for _, c := range cases {
		for _, want := range c.Want {
			s := Stream{Database: db.name, Name: want.Stream, Dialect: dialect}
			if opened[s.Name] {
				continue
			}
			opened[s.Name] = true
			if err := collector.Open(ctx, s); err != nil {
				t.Fatalf("open %s: %v", s.Name, err)
			}
			defer collector.Close(s)
		}
	}
	for _, c := range cases {
		if len(server.Only) > 0 && !slices.Contains(server.Only, c.ID) {
			continue
		}
		t.Run(fmt.Sprintf("%03d_%s", c.ID, c.Name), func(t *testing.T) {
			runCase(t, server.Kind, db, collector, c)
		})
	}
}

func runCase(t *testing.T, kind Kind, db *database, collector Collector, c Case) {
	want, anyOrder := c.Want, c.AnyOrder
	if kind == Google && c.Google != nil {
		if want = c.Google.Want; want == nil {
			t.Skipf("not on Google's emulator: %s (production: %s)", c.Google.Reason, c.Google.Rule)
		}
		anyOrder = anyOrder || c.Google.AnyOrder
		t.Logf("known difference: %s; production: %s", c.Google.Reason, c.Google.Rule)
	}
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	alterAll := func(ctx context.Context, statements []Text) {
		for _, statement := range statements {
			if err := db.alter(ctx, statement[db.dialect]); err != nil {
				t.Fatal(err)
			}
		}
	}
	alterAll(ctx, c.Alter)
	defer alterAll(context.WithoutCancel(ctx), c.Restore)
	commits := commitCase(ctx, t, db, c)
	for _, w := range want {
		checkStream(ctx, t, collector, Stream{Database: db.name, Name: w.Stream, Dialect: db.dialect}, anyOrder, w.Records, commits)
	}
}

// commitCase commits set-up and transactions under test and returns the commit
// timestamps of the latter.
func commitCase(ctx context.Context, t *testing.T, db *database, c Case) []time.Time {
	if err := db.empty(ctx, c.Schema.Tables); err != nil {
		t.Fatalf("empty tables: %v", err)
	}
	for i, txn := range c.Setup {
		if _, err := db.commit(ctx, txn, ""); err != nil {
			t.Fatalf("set-up transaction %d: %v", i, err)
		}
	}
	var commits []time.Time
	for i, txn := range c.Txns {
		at, err := db.commit(ctx, txn, c.Tag)
		if i == len(c.Txns)-1 && status.Code(err) != c.Code {
			t.Fatalf("transaction: got %v, want %v", err, c.Code)
		} else if i < len(c.Txns)-1 && err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		commits = append(commits, at)
	}
	return commits
}

// checkStream compares what the collector sees of each transaction.
func checkStream(ctx context.Context, t *testing.T, collector Collector, s Stream, anyOrder bool, want [][]Record, commits []time.Time) {
	ids := map[string]bool{}
	for i, commit := range commits {
		got, err := collector.Collect(ctx, s, commit)
		if err != nil {
			t.Fatalf("%s: collect: %v", s.Name, err)
		}
		slices.SortStableFunc(got, func(a, b Record) int { return strings.Compare(a.Sequence, b.Sequence) })
		faults := append(numbering(got, commit), compare(resolved(want[i], commit), got, anyOrder)...)
		if len(got) > 0 && ids[got[0].ServerTransactionID] {
			faults = append(faults, "server_transaction_id of an earlier transaction")
		}
		for _, r := range got {
			ids[r.ServerTransactionID] = true
		}
		if len(faults) > 0 {
			t.Errorf("%s, transaction %d at %s:\n  %s\ngot %+v", s.Name, i, commit.Format(time.RFC3339Nano), strings.Join(faults, "\n  "), got)
		}
	}
}

// resolved puts the commit timestamp where the expectation has "$COMMIT".
func resolved(want []Record, commit time.Time) []Record {
	out := slices.Clone(want)
	for i := range out {
		out[i].Mods = slices.Clone(out[i].Mods)
		for j := range out[i].Mods {
			out[i].Mods[j].New = strings.ReplaceAll(out[i].Mods[j].New, "$COMMIT", commit.UTC().Format(time.RFC3339Nano))
		}
	}
	return out
}

// numbering checks what the records of one transaction say about each other.
func numbering(got []Record, commit time.Time) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	last := int64(0)
	for i, r := range got {
		if !r.CommitTimestamp.Equal(commit) {
			fault("record %d: commit_timestamp %s", i, r.CommitTimestamp)
		}
		if want := fmt.Sprintf("%08d", i); r.Sequence != want {
			fault("record %d: record_sequence %q, want %q", i, r.Sequence, want)
		}
		if r.NumberOfRecords != int64(len(got)) {
			fault("record %d: number_of_records %d of %d", i, r.NumberOfRecords, len(got))
		}
		if r.ServerTransactionID == "" || r.ServerTransactionID != got[0].ServerTransactionID {
			fault("record %d: server_transaction_id %q", i, r.ServerTransactionID)
		}
		if r.Last {
			last++
		}
	}
	if len(got) > 0 && (got[0].NumberOfPartitions != last || !got[len(got)-1].Last) {
		fault("number_of_partitions %d, last-record marks %d", got[0].NumberOfPartitions, last)
	}
	return faults
}

// compare matches expected and actual records, in order or in any order.
func compare(want, got []Record, anyOrder bool) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%d records, want %d", len(got), len(want))}
	}
	var faults []string
	free := slices.Clone(got)
	for i, w := range want {
		pick := 0
		if anyOrder {
			pick = max(0, slices.IndexFunc(free, func(g Record) bool { return len(w.diff(g)) == 0 }))
		}
		for _, fault := range w.diff(free[pick]) {
			faults = append(faults, fmt.Sprintf("record %d: %s", i, fault))
		}
		free = slices.Delete(free, pick, pick+1)
	}
	return faults
}
