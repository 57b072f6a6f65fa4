package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
	"github.com/spancast/spancast/test/wait"
)

// partitions are those that the metadata tables of a shop hold.
func (s *shop) partitions() []changestream.Partition {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	s.mu.Lock()
	if s.metadata == nil {
		client, err := spanner.NewClientWithConfig(context.Background(), s.env["SPANCAST_METADATA_DATABASE"], spanner.ClientConfig{DisableNativeMetrics: true}, spannerdb.Options(s.Host)...)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(client.Close)
		s.metadata = checkpoint.NewSpanner(client, changestream.Info{Database: s.Name, Stream: shopStream}, "Spancast")
	}
	store := s.metadata
	s.mu.Unlock()
	view, err := store.View(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return view.Partitions
}

// owned counts the partitions of a replica.
func (s *shop) owned(r *harness.Replica) (n int) {
	for _, p := range s.partitions() {
		if p.State != changestream.Finished && p.Owner == r.ID {
			n++
		}
	}
	return n
}

// complete compares what came from several replicas with what was committed:
// every change at least once, none invented, and those of a row in order as far
// as they came from one replica. What comes from two may overtake on its way.
func (s *shop) complete(changes []*harness.Message) {
	s.t.Helper()
	got, last := make(map[string]map[string]bool), make(map[string]string)
	for _, m := range changes {
		mods, err := m.Mods()
		if err != nil {
			s.t.Fatal(err)
		}
		row := m.Attributes.Table + " " + strings.NewReplacer(`{"Id":"`, "", `"}`, "").Replace(string(mods.Keys))
		change := m.Version.CommitTimestamp + " " + strings.NewReplacer(`{"V":"`, "", `"}`, "").Replace(string(mods.New))
		if got[row] == nil {
			got[row] = make(map[string]bool)
		}
		isNew := !got[row][change]
		got[row][change] = true
		from := row + " " + string(m.Header.Epoch)
		if isNew && change < last[from] {
			s.t.Errorf("row %s: epoch %s published %s after %s", row, m.Header.Epoch, change, last[from])
		}
		last[from] = max(last[from], change)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for row, want := range s.committed {
		var have []string
		for change := range got[row] {
			have = append(have, change)
		}
		slices.Sort(have)
		want = slices.Sorted(slices.Values(want))
		if slices.Equal(have, want) {
			continue
		}
		for _, change := range want {
			if !got[row][change] {
				s.t.Errorf("row %s: %s was not published", row, change)
			}
		}
		if len(have) >= len(want) {
			s.t.Errorf("row %s: published %q, committed %q", row, have, want)
		}
	}
}

// all waits until every change that was committed has come, and compares.
func (s *shop) all(sub *harness.Subscriber) {
	s.t.Helper()
	deadline, seen, looked := time.Now().Add(harness.Patience), make(map[string]bool), 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for missing := true; missing && time.Now().Before(deadline); <-tick.C {
		messages := sub.Messages()
		for _, m := range messages[looked:] {
			if m.Kind == "" {
				seen[m.Version.String()] = true
			}
		}
		looked = len(messages)
		s.mu.Lock()
		missing = len(seen) < s.rows
		s.mu.Unlock()
	}
	s.complete(sub.Changes())
}

// TestFleet_AStoppedReplicaPublishesAndWritesNothingMore is scenario 19:
// SIGSTOP for longer than the lease, then SIGCONT. What it was sent before it
// was stopped and while it was waits in its buffers: it must not get out.
func TestFleet_AStoppedReplicaPublishesAndWritesNothingMore(t *testing.T) {
	t.Parallel()
	server := embedded(t, emulator.Options{Partitions: 4})
	s := newShop(t, server.Addr())
	env := s.with("SPANCAST_LEASE", "1s", "SPANCAST_REQUIRE_SUBSCRIBER", "true") // nothing is sent before the subscriber is there
	a, b := harness.Serve(t, env), harness.Serve(t, env)
	sub := harness.Subscribe(t, []string{a.Endpoint, b.Endpoint}, "")
	wait.Until(t, "both read", func() bool { return s.owned(a) == 2 && s.owned(b) == 2 })
	s.commit(1, "Orders")
	s.all(sub)
	epoch := string(sub.Changes()[0].Header.Epoch)
	stopped, other := a, b // the one that has the partition with the rows
	if strings.Contains(b.Stderr(), epoch) {
		stopped, other = b, a
	}
	stopped.Signal(syscall.SIGSTOP)
	wait.Until(t, "every thread stands still", func() bool { return standsStill(t, stopped.Pid()) })
	began := message.FormatTime(s.commit(1, "Orders"))
	for i := range 20 {
		s.commit(i%3, "Orders", "Users")
	}
	s.all(sub)
	wait.Until(t, "the other has all", func() bool { return s.owned(other) == 4 })
	last := s.commit(1, "Users")
	positions := make(map[changestream.PartitionToken]changestream.Partition)
	wait.Until(t, "the positions are past all of that", func() bool {
		behind := false
		for _, p := range s.partitions() {
			positions[p.Token] = p
			behind = behind || !p.Position.After(last)
		}
		return !behind
	})
	ended := message.FormatTime(last) // what comes later it may get with the partitions that are handed back
	s.commit(2, "Users")
	s.all(sub)
	stopped.Signal(syscall.SIGCONT)
	wait.Until(t, "it takes part again", func() bool { return s.owned(stopped) == 2 })
	for i := range 10 {
		s.commit(i%3, "Orders", "Users")
	}
	s.all(sub)
	for _, m := range sub.Changes() {
		if at := m.Version.CommitTimestamp; string(m.Header.Epoch) == epoch && at >= began && at < ended {
			t.Errorf("published %s of when it was stopped", m.Version)
		}
	}
	for _, p := range s.partitions() {
		if before := positions[p.Token]; p.Position.Before(before.Position) || p.Epoch < before.Epoch {
			t.Errorf("partition %s went from %s, epoch %d to %s, epoch %d", p.Token.Short(), before.Position, before.Epoch, p.Position, p.Epoch)
		}
	}
	stopped.Stop()
	other.Stop()
}

// standsStill tells whether all threads of a process are stopped: a signal needs
// a moment to reach those that run.
func standsStill(t testing.TB, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Skip("needs /proc")
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if _, state, _ := strings.Cut(string(text), ") "); err == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// TestFleet_ARollingRestartLosesNoTimeAndNoChange is scenario 20: three replicas
// are replaced one after the other under load. Leases of ten minutes see to it
// that nobody waits for one to run out.
func TestFleet_ARollingRestartLosesNoTimeAndNoChange(t *testing.T) {
	t.Parallel()
	server := embedded(t, emulator.Options{Partitions: 6, ChurnEvery: time.Second})
	s := newShop(t, server.Addr())
	dir := t.TempDir()
	var endpoints []string
	var replicas []*harness.Replica
	serve := func(i int) *harness.Replica {
		return harness.Serve(t, s.with("SPANCAST_LEASE", "10m", "SPANCAST_BIND", endpoints[i], "SPANCAST_REQUIRE_SUBSCRIBER", "true"))
	}
	for i := range 3 {
		endpoints = append(endpoints, fmt.Sprintf("ipc://%s/%d", dir, i))
		replicas = append(replicas, serve(i))
	}
	sub := harness.Subscribe(t, endpoints, "")
	sub.Reading()
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { s.load(rand.New(rand.NewPCG(2, 2)), 10*time.Millisecond, stop) })
	everyone := func() {
		wait.Until(t, "all three read", func() bool {
			return s.owned(replicas[0]) > 0 && s.owned(replicas[1]) > 0 && s.owned(replicas[2]) > 0
		})
	}
	everyone()
	for i, old := range replicas {
		old.Stop()
		n := len(sub.Changes())
		sub.Until("changes without it", func([]*harness.Message) bool { return len(sub.Changes()) > n+20 })
		replicas[i] = serve(i)
		everyone()
	}
	close(stop)
	load.Wait()
	s.commit(1, "Orders", "Users")
	s.all(sub)
	for _, r := range replicas {
		if strings.Contains(r.Stderr(), "a lease ran out") {
			t.Error("a lease ran out, though nobody died")
		}
		r.Stop()
	}
}
