package test

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator/google"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestRecovery_ReplaysWhatWasPublished: while partitions split, move and merge,
// a replay from the recovery endpoint holds, byte for byte, what the publisher
// sent, each change once, in the order of versions.
func TestRecovery_ReplaysWhatWasPublished(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Own(t, google.Options{PartitionLife: time.Second}).Addr())
	replica := harness.Serve(t, s.env)
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	began := time.Now()
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { s.load(rand.New(rand.NewPCG(5, 1)), 10*time.Millisecond, stop) })
	for i := range 10 {
		sub.Until("more changes", func([]*harness.Message) bool { return len(sub.Changes()) > 40*i })
	}
	close(stop)
	load.Wait()
	sub.Resolved(s.commit(1, "Orders", "Users"))
	published := sub.Changes()
	replayed := harness.ChangesOf(harness.Recover(t, replica.Recover).Replay(began, ""))
	if !slices.IsSortedFunc(replayed, func(a, b *harness.Message) int { return a.Version.Compare(b.Version) }) {
		t.Error("the replay is not in the order of versions")
	}
	if d := s.check(replayed); d != 0 {
		t.Errorf("%d changes came twice", d)
	}
	bytes := make(map[message.Version]string)
	for _, m := range published {
		// A publisher says of its partition where it comes from; a replay has none.
		attributes := regexp.MustCompile(`,"moved":"[^"]*"`).ReplaceAllString(string(m.Header.Attributes), "")
		bytes[m.Version] = m.Topic + " " + attributes + " " + string(m.Body)
	}
	for i, m := range replayed {
		if got, want := m.Topic+" "+string(m.Header.Attributes)+" "+string(m.Body), bytes[m.Version]; got != want {
			t.Errorf("replayed  %s\npublished %s", got, want)
		}
		if n, ok := m.Header.Counter(0); !ok || n != uint64(i+1) {
			t.Errorf("counter %d of change %d", n, i+1)
		}
	}
	replica.Stop()
}

// TestRecovery_IsInTheDirectory: every replica's hello names the recovery
// endpoints of the fleet, and they answer.
func TestRecovery_IsInTheDirectory(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	a, b := harness.Serve(t, s.env), harness.Serve(t, s.env)
	for _, replica := range []*harness.Replica{a, b} {
		client := harness.Recover(t, replica.Recover)
		for deadline := time.Now().Add(harness.Patience); ; {
			id := client.ID()
			client.Send(message.CommandHello, message.HelloRequest{ID: id})
			of, m := client.Next()
			var hello message.HelloBody
			if err := json.Unmarshal(m.Body, &hello); err != nil || of != id || m.Topic != message.Hello {
				t.Fatalf("%s %s %s: %v", of, m.Topic, m.Body, err)
			}
			var all []string
			for _, e := range hello.Endpoints {
				all = append(all, e.Recover...)
			}
			if slices.Contains(all, a.Recover) && slices.Contains(all, b.Recover) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s names %q", replica.Recover, all)
			}
		}
	}
	a.Stop()
	b.Stop()
}
