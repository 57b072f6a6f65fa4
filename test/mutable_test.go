package test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
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
		"SPANCAST_QUERY_WINDOW": "1s", "SPANCAST_LEASE": "1s", "SPANCAST_CHECKPOINT_INTERVAL": "200ms",
	}}
	if status, _, stderr := harness.Run(t, s.env, "admin", "bootstrap", "--watch", watch, "--partition-mode", "mutable"); status != 0 {
		t.Fatalf("bootstrap: %s", stderr)
	}
	return s
}

// churn changes key ranges at random until stop is closed.
func (s *shop) churn(server *emulator.Server, rnd *rand.Rand, stop <-chan struct{}) {
	tick := time.NewTicker(150 * time.Millisecond)
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
			server, err := emulator.Start(t.Context(), emulator.Options{Partitions: 3, MinHeartbeat: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
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
