package changestream_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/spannerdb"
	"github.com/spancast/spancast/test/wait"
)

const (
	testDatabase = "projects/p/instances/i/databases/shop"
	testStream   = "Everything"
	patience     = 60 * time.Second
)

// A fixture is a stream of the embedded Spanner and one that reads it.
type fixture struct {
	*testing.T
	server *emulator.Server
	client *spanner.Client
	store  *checkpoint.Memory
	sink   *recorder
	stream *changestream.Stream
	opt    changestream.Options
	gaps   chan changestream.Gap

	rows   map[int][]string // versions that were committed, by row
	cancel context.CancelFunc
	result chan error
}

func newFixture(t *testing.T, o emulator.Options) *fixture {
	t.Helper()
	return newFixtureOf(t, o, emulator.GoogleSQL, "CREATE TABLE T (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)", "CREATE CHANGE STREAM "+testStream+" FOR T")
}

func newFixtureOf(t *testing.T, o emulator.Options, d emulator.Dialect, ddl ...string) *fixture {
	t.Helper()
	if o.MinHeartbeat == 0 {
		o.MinHeartbeat = 50 * time.Millisecond
	}
	server, client := spannerdb.Embedded(t, o, testDatabase, d, ddl...)
	f := &fixture{T: t, server: server, client: client, store: checkpoint.NewMemory(server.Now), sink: newRecorder(), gaps: make(chan changestream.Gap, 100), rows: make(map[int][]string)}
	info, err := changestream.Describe(context.Background(), client, testStream)
	must(t, err)
	f.opt = changestream.Options{
		Info: info, Replica: changestream.Replica{ID: "me"}, Store: f.store, NewSink: f.sink.of, Drained: func(context.Context) error { return nil },
		Dial:  spannerdb.Dialer(server.Addr()),
		OnGap: func(g changestream.Gap) { f.gaps <- g }, Start: func(now time.Time) time.Time { return now }, OnGapPolicy: changestream.GapStop,
		QueryWindow: time.Minute, Heartbeat: 50 * time.Millisecond, CheckpointInterval: 50 * time.Millisecond, CheckpointLag: 100 * time.Millisecond,
		Lease: 2 * time.Second, DrainTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
	}
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run starts to read.
func (f *fixture) run() {
	f.Helper()
	f.begin()
	f.until("partitions are read", func() bool { return f.stream.Owned() > 0 })
}

func (f *fixture) begin() {
	f.Helper()
	var err error
	f.stream, err = changestream.New(f.opt)
	must(f, err)
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.result = cancel, make(chan error, 1)
	go func() { f.result <- f.stream.Run(ctx) }()
	f.Cleanup(cancel)
}

// stop ends the reading and returns how it ended.
func (f *fixture) stop() error {
	f.Helper()
	f.cancel()
	return f.ended()
}

func (f *fixture) ended() error {
	f.Helper()
	select {
	case err := <-f.result:
		return err
	case <-time.After(patience):
		f.Fatal("the stream did not end")
		return nil
	}
}

// until waits for something that the stream will do.
func (f *fixture) until(what string, is func() bool) {
	f.Helper()
	defer func() {
		if f.Failed() {
			f.Logf("trouble %q", f.stream.Trouble())
		}
	}()
	wait.Until(f, what, is)
}

// commit writes n more versions, over ten rows.
func (f *fixture) commit(n int) time.Time {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var at time.Time
	for range n {
		id := len(f.rows) % 10
		for k := range 10 { // the row with the fewest versions
			if len(f.rows[k]) < len(f.rows[id]) {
				id = k
			}
		}
		version := len(f.rows[id]) + 1
		var err error
		at, err = f.client.Apply(ctx, []*spanner.Mutation{spanner.InsertOrUpdate("T", []string{"Id", "V"}, []any{id, version})})
		must(f, err)
		f.rows[id] = append(f.rows[id], fmt.Sprint(version))
	}
	return at
}

// check waits until everything was read, and compares: each version once, in
// order per row.
func (f *fixture) check(last time.Time) {
	f.Helper()
	f.until("everything is resolved", func() bool { _, fleet := f.stream.Resolved(); return fleet.After(last) })
	for id, want := range f.rows {
		if got := f.sink.row(id); !slices.Equal(got, want) {
			f.Errorf("row %d: read %q, committed %q", id, got, want)
		}
	}
}

// A recorder is a publisher that keeps what it is given.
type recorder struct {
	mu   sync.Mutex
	rows map[string][]string
	ids  map[string]int // how often each change came
	all  []change       // those that came twice included
}

type change struct {
	id, row, version string
	partition        changestream.PartitionToken
}

// changesOf lists the mods of a record.
func changesOf(rec *changestream.DataChangeRecord) (out []change) {
	for i, m := range rec.Mods {
		out = append(out, change{
			id:      fmt.Sprintf("%s %s %s %d", rec.CommitTimestamp, rec.ServerTransactionID, rec.RecordSequence, i),
			row:     strings.NewReplacer(`{"Id":"`, "", `"}`, "").Replace(string(m.Keys)),
			version: strings.NewReplacer(`{"V":"`, "", `"}`, "").Replace(string(m.NewValues)),
		})
	}
	return out
}

func newRecorder() *recorder {
	return &recorder{rows: make(map[string][]string), ids: make(map[string]int)}
}

func (r *recorder) of(changestream.Partition) changestream.Sink { return r }

// Change implements changestream.Sink.
func (r *recorder) Change(rec *changestream.DataChangeRecord) error {
	r.publish(changesOf(rec))
	return nil
}

// publish notes changes. One that came before is not kept.
func (r *recorder) publish(changes []change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		r.all = append(r.all, c)
		if r.ids[c.id]++; r.ids[c.id] == 1 {
			r.rows[c.row] = append(r.rows[c.row], c.version)
		}
	}
}

// Flush implements changestream.Sink.
func (r *recorder) Flush(_ context.Context, m changestream.Mark) error {
	m.Progress.Published(m)
	return nil
}

// MovedIn implements changestream.Sink.
func (r *recorder) MovedIn(time.Time, []changestream.PartitionToken) {}

func (r *recorder) row(id int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rows[fmt.Sprint(id)])
}

func (r *recorder) twice() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.ids {
		n += times - 1
	}
	return n
}
