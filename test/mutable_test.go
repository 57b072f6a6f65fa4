package test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
	"github.com/spancast/spancast/test/wait"
)

// newMutableShop makes a shop whose change stream, made by admin bootstrap, has
// partitions that live on while keys move between them.
func newMutableShop(t *testing.T, host string, dialect databasepb.DatabaseDialect) *shop {
	t.Helper()
	tables, watch := []string{`CREATE TABLE Orders (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`, `CREATE TABLE Users (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`}, "Orders, Users"
	if dialect == databasepb.DatabaseDialect_POSTGRESQL {
		tables, watch = []string{`CREATE TABLE "Orders" ("Id" bigint NOT NULL, "V" bigint, PRIMARY KEY ("Id"))`, `CREATE TABLE "Users" ("Id" bigint NOT NULL, "V" bigint, PRIMARY KEY ("Id"))`}, `"Orders", "Users"`
	}
	db := spannerdb.New(t, host, dialect, tables...)
	s := &shop{DB: db, t: t, committed: make(map[string][]string), env: map[string]string{
		"SPANNER_EMULATOR_HOST": host, "SPANCAST_DATABASE": db.Name, "SPANCAST_CHANGE_STREAM": shopStream, "SPANCAST_METADATA_DATABASE": db.Name + "m",
		"SPANCAST_QUERY_WINDOW": "1s", "SPANCAST_HEARTBEAT": "100ms", "SPANCAST_LEASE": "1s", "SPANCAST_CHECKPOINT_INTERVAL": "200ms", "SPANCAST_CHECKPOINT_LAG": "1s",
		"SPANCAST_REQUIRE_SUBSCRIBER": "true", // what is published before the subscriber has connected again would be lost to it
	}}
	if status, _, stderr := harness.Run(t, s.env, "admin", "bootstrap", "--watch", watch, "--partition-mode", "mutable"); status != 0 {
		t.Fatalf("bootstrap: %s", stderr)
	}
	return s
}

// churn changes key ranges at random until stop is closed.
func (s *shop) churn(server *emulator.Server, rnd *rand.Rand, stop <-chan struct{}) {
	tick := time.NewTicker(400 * time.Millisecond) // what moves between replicas waits for the lag: more often would be more than they can follow
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		open, err := server.Partitions(s.Name, shopStream)
		if err == nil {
			kind := []emulator.Change{emulator.Split, emulator.Merge, emulator.Move}[rnd.IntN(3)]
			err = server.Churn(s.Name, shopStream, kind, open[rnd.IntN(len(open))])
		}
		if err != nil && !errors.Is(err, emulator.ErrChurn) {
			s.t.Error(err)
			return
		}
	}
}

// mergeAll leaves one partition.
func (s *shop) mergeAll(server *emulator.Server) {
	s.t.Helper()
	for {
		open, err := server.Partitions(s.Name, shopStream)
		if err == nil && len(open) > 1 {
			err = server.Churn(s.Name, shopStream, emulator.Merge, open[0])
		}
		if err != nil && !errors.Is(err, emulator.ErrChurn) {
			s.t.Fatal(err)
		}
		if len(open) == 1 {
			return
		}
	}
}

// commitMore waits until the load has changed n more rows.
func (s *shop) commitMore(n int) {
	s.t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.rows
	}
	enough := count() + n
	wait.Until(s.t, "more commits", func() bool { return count() >= enough })
}

// fleetResolved is up to when everything was published by all replicas, as the
// latest of them says.
func fleetResolved(all []*harness.Message) time.Time {
	for _, m := range slices.Backward(all) {
		var body message.ResolvedBody
		if m.Topic == message.Resolved && json.Unmarshal(m.Body, &body) == nil && body.Fleet != "" {
			t, _ := time.Parse(time.RFC3339Nano, body.Fleet)
			return t
		}
	}
	return time.Time{}
}

// TestServe_MutableStreamOutlivesKills: two replicas read a MUTABLE_KEY_RANGE
// stream, in both dialects; keys move all the time, and kill -9 hits one replica
// after the other in the middle of it. The union of what was published holds
// every change, per row in order.
func TestServe_MutableStreamOutlivesKills(t *testing.T) {
	t.Parallel()
	for _, dialect := range []databasepb.DatabaseDialect{databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, databasepb.DatabaseDialect_POSTGRESQL} {
		t.Run(dialect.String(), func(t *testing.T) {
			t.Parallel()
			server := embedded(t, emulator.Options{Partitions: 3})
			s := newMutableShop(t, server.Addr(), dialect)
			dir := t.TempDir()
			binds := []string{"ipc://" + filepath.Join(dir, "a"), "ipc://" + filepath.Join(dir, "b")}
			sub := harness.Subscribe(t, binds, "") // stays while publishers come and go
			var fleet []*harness.Process
			start := func(i int) *harness.Process {
				most := []string{"2", "0"}[i]
				return harness.Serve(t, s.with("SPANCAST_BIND", binds[i], "SPANCAST_MAX_PARTITIONS", most)).Process
			}
			for i := range binds {
				fleet = append(fleet, start(i))
			}
			sub.Reading()
			stop := make(chan struct{})
			var load sync.WaitGroup
			load.Go(func() { s.load(rand.New(rand.NewPCG(2, 2)), 20*time.Millisecond, stop) })
			load.Go(func() { s.churn(server, rand.New(rand.NewPCG(3, 3)), stop) })
			more := func(what string) {
				n := len(sub.Changes())
				sub.Until(what, func([]*harness.Message) bool { return len(sub.Changes()) > n+50 })
			}
			for i := range 4 {
				more("more changes")
				fleet[i%2].Kill()
				s.mergeAll(server) // what nobody reads now gives its keys to what is read
				s.commitMore(20)
				fleet[i%2] = start(i % 2)
			}
			more("changes after the last start")
			close(stop)
			load.Wait()
			last := s.commit(0, "Orders")
			sub.Until("the fleet's resolved time", func(all []*harness.Message) bool { return fleetResolved(all).After(last) })
			changes := sub.Changes()
			t.Logf("%d changes, %d of them twice", len(changes), s.check(changes))
			for _, p := range fleet {
				p.Stop()
			}
		})
	}
}

// TestBootstrap_KnowsThePartitionMode: the statements and grants of a mutable
// stream in both dialects, and a mode that does not exist.
func TestBootstrap_KnowsThePartitionMode(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SPANCAST_DATABASE": "projects/p/instances/i/databases/d", "SPANCAST_CHANGE_STREAM": "S"}
	for dialect, want := range map[string][]string{
		"googlesql":  {"CREATE CHANGE STREAM `S` FOR ALL OPTIONS (partition_mode = 'MUTABLE_KEY_RANGE')", "ON TABLE FUNCTION READ_S TO ROLE"},
		"postgresql": {`CREATE CHANGE STREAM "S" FOR ALL WITH (partition_mode = 'MUTABLE_KEY_RANGE')`, `ON FUNCTION spanner."read_proto_bytes_S" TO`},
	} {
		status, stdout, stderr := harness.Run(t, env, "admin", "bootstrap", "--print", "--watch", "ALL", "--dialect", dialect, "--partition-mode", "MUTABLE_KEY_RANGE")
		for _, text := range want {
			if status != 0 || !strings.Contains(stdout, text) {
				t.Errorf("%s: exit status %d, %q is missing: %s%s", dialect, status, text, stdout, stderr)
			}
		}
	}
	if status, _, stderr := harness.Run(t, env, "admin", "bootstrap", "--print", "--partition-mode", "both"); status != 2 || !strings.Contains(stderr, `"both" is not one of immutable, mutable`) {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}
