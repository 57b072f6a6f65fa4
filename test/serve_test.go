package test

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator/google"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestServe_FollowsEveryPartitionOverGenerations: 509 commits while partitions
// split, move and merge every two to four seconds, for seven generations.
func TestServe_FollowsEveryPartitionOverGenerations(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Own(t, google.Options{PartitionLife: 2 * time.Second}).Addr())
	replica := harness.Serve(t, s.env)
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	began := time.Now()
	var last time.Time
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := range 509 {
		last = s.commit(i%7, []string{"Orders", "Users"}[i%2])
		<-tick.C
	}
	sub.Resolved(last)
	if d := s.check(sub.Changes()); d != 0 {
		t.Errorf("%d changes came twice, though nothing failed", d)
	}
	countersWithoutGap(t, sub.Changes())
	if ends := strings.Count(replica.Stderr(), `"message":"partition ended"`); ends < 7 {
		t.Errorf("only %d partitions ended in %s", ends, time.Since(began))
	}
	replica.Stop()
}

// TestServe_KilledInTheMiddleOfALoad: kill -9, start again, three times over. The
// union of what was published holds every change.
func TestServe_KilledInTheMiddleOfALoad(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Own(t, google.Options{PartitionLife: 2 * time.Second}).Addr())
	bind := "ipc://" + filepath.Join(t.TempDir(), "pub")
	env := s.with("SPANCAST_BIND", bind, "SPANCAST_LEASE", "1s")
	sub := harness.Subscribe(t, []string{bind}, "") // stays while publishers come and go
	replica := harness.Serve(t, env)
	sub.Reading()
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { s.load(rand.New(rand.NewPCG(1, 1)), 20*time.Millisecond, stop) })
	epochs := map[string]bool{}
	for range 3 {
		n := len(sub.Changes())
		sub.Until("more changes", func(all []*harness.Message) bool { return len(all) > n && len(sub.Changes()) > n+50 })
		replica.Kill()
		replica = harness.Serve(t, env)
	}
	n := len(sub.Changes())
	sub.Until("changes after the last start", func([]*harness.Message) bool { return len(sub.Changes()) > n+50 })
	close(stop)
	load.Wait()
	sub.Resolved(s.commit(0, "Orders"))
	changes := sub.Changes()
	duplicates := s.check(changes)
	for _, m := range changes {
		epochs[string(m.Header.Epoch)] = true
	}
	if len(epochs) != 4 {
		t.Errorf("%d epochs, want 4", len(epochs))
	}
	t.Logf("%d changes, %d of them twice", len(changes), duplicates)
	replica.Stop()
}

// TestServe_HandsOverAtOnceWhenItIsTold: SIGTERM gives the partitions back, so
// that the next replica need not wait for a lease to run out.
func TestServe_HandsOverAtOnceWhenItIsTold(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	env := s.with("SPANCAST_LEASE", "10m") // nothing would happen for ten minutes
	a, b := harness.Serve(t, env), harness.Serve(t, env)
	sub := harness.Subscribe(t, []string{a.Endpoint, b.Endpoint}, "")
	sub.Reading()
	sub.Resolved(s.commit(1, "Orders"))
	owner, other := a, b
	if strings.Contains(b.Stderr(), `"message":"reading"`) && !strings.Contains(a.Stderr(), `"message":"reading"`) {
		owner, other = b, a
	}
	for i := range 20 {
		s.commit(i, "Orders")
	}
	owner.Signal(syscall.SIGTERM)
	for i := range 20 {
		s.commit(i, "Users")
	}
	if status := owner.Wait(harness.Patience); status != 0 {
		t.Errorf("exit status %d", status)
	}
	sub.Resolved(s.commit(2, "Orders"))
	s.check(sub.Changes())
	other.Stop()
}

// TestServe_SaysGoodbyeAfterTheLastChange: what was accepted arrives, then the
// goodbye with the final counters.
func TestServe_SaysGoodbyeAfterTheLastChange(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	replica := harness.Serve(t, s.env)
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	var last time.Time
	for i := range 30 {
		last = s.commit(i, "Orders", "Users")
	}
	sub.Resolved(last)
	replica.Stop()
	sub.Until("the goodbye", func(all []*harness.Message) bool { return all[len(all)-1].Topic == message.Bye })
	all := sub.Messages()
	var bye message.ByeBody
	if err := json.Unmarshal(all[len(all)-1].Body, &bye); err != nil || bye.Counters[""] != 60 || bye.Counters["Orders/"] != 30 {
		t.Errorf("%+v, %v", bye, err)
	}
	s.check(sub.Changes())
}

// TestServe_NewTopicRulesTakeEffect, and a file with faults does not.
func TestServe_NewTopicRulesTakeEffect(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	dir := t.TempDir()
	rules := write(t, dir, "rules.yaml", "rules: [{tables: [Users], drop: true}]")
	replica := harness.Serve(t, s.with("SPANCAST_TOPIC_RULES_FILE", rules, "SPANCAST_TOPIC", "{stream}/{table}/{key}/"))
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	topics := func() (out []string) {
		sub.Resolved(s.commit(7, "Orders", "Users"))
		for _, m := range sub.Changes() {
			out = append(out, m.Topic)
		}
		return out
	}
	if got := strings.Join(topics(), " "); got != "Everything/Orders/7/" {
		t.Errorf("topics %s", got)
	}
	write(t, dir, "rules.yaml", "rules: [{tables: [Users], topics: [u/, all/]}]")
	replica.Logged(`new topic rules are in force`)
	if got := strings.Join(topics()[1:], " "); got != "Everything/Orders/7/ u/ all/" && got != "u/ all/ Everything/Orders/7/" {
		t.Errorf("topics %s", got)
	}
	write(t, dir, "rules.yaml", "rules: [{tabels: [Users]}]")
	replica.Logged(`the new topic rules are not used.*field tabels not found`)
	if n := len(topics()); n != 7 {
		t.Errorf("%d messages after a faulty file, want 7", n)
	}
	replica.Stop()
}

// TestServe_OtherFormats looks at one message of each format.
func TestServe_OtherFormats(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"cloudevents": `"specversion":"1.0"`, "debezium": `"after":{"Id":7,"V":1}`,
	} {
		s := newShop(t, spannerdb.Host(t))
		replica := harness.Serve(t, s.with("SPANCAST_FORMAT", format))
		sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
		sub.Reading()
		sub.Resolved(s.commit(7, "Orders"))
		if changes := sub.Changes(); len(changes) != 1 || !json.Valid(changes[0].Body) || !strings.Contains(string(changes[0].Body), want) {
			t.Errorf("%s: %d changes, %s", format, len(changes), changes[0].Body)
		}
		replica.Stop()
	}
}

// TestServe_LeavesItsOwnTablesOut: with the metadata in the watched database, a
// stream FOR ALL sees every checkpoint; none is published.
func TestServe_LeavesItsOwnTablesOut(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	s.DDL(t, "ALTER CHANGE STREAM "+shopStream+" SET FOR ALL")
	env := s.with("SPANCAST_METADATA_DATABASE", "")
	if status, _, stderr := harness.Run(t, env, "admin", "bootstrap"); status != 0 {
		t.Fatal(stderr)
	}
	replica := harness.Serve(t, env)
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	for i := range 3 {
		sub.Resolved(s.commit(i, "Orders").Add(time.Second)) // some checkpoints go by
	}
	s.check(sub.Changes())
	replica.Stop()
}
