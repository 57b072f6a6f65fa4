package test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestForward_CarriesEverything: two publishers connect out, two subscribers
// connect to one address; changes, counters and control messages come through
// unchanged, and a publisher that requires a subscriber learns when there is one
// and when there is none.
func TestForward_CarriesEverything(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	http1 := freePort(t)
	f := harness.Start(t, map[string]string{"SPANCAST_FORWARD_BIND": "tcp://127.0.0.1:*", "SPANCAST_BIND": "tcp://127.0.0.1:*", "SPANCAST_HTTP": http1}, "forward")
	at := f.Logged(`forwarding from publishers at (\S+) to subscribers at ([^ "]+)"`)
	health(t, http1, "live", 200)
	health(t, http1, "ready", 200)

	serveHTTP := freePort(t)
	env := s.with("SPANCAST_CONNECT", at[1], "SPANCAST_REQUIRE_SUBSCRIBER", "true", "SPANCAST_HTTP", serveHTTP)
	replica := harness.Serve(t, env)
	first := harness.Subscribe(t, []string{at[2]}, "")
	first.Reading()
	second := harness.Subscribe(t, []string{at[2]}, "", "Orders/")
	second.Active()
	for i := range 20 {
		s.commit(i, "Orders", "Users")
	}
	last := s.commit(20, "Orders")
	first.Resolved(last)
	second.Resolved(last)
	s.check(first.Changes())
	countersWithoutGap(t, first.Changes())
	if a, b := len(first.Changes()), len(second.Changes()); a != 41 || b != 41 {
		t.Errorf("%d and %d changes came, want 41", a, b)
	}
	metrics := func(address string) string {
		r, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, want := range []string{"spancast_subscriptions 3\n", "spancast_ready 1\n"} {
		if got := metrics(http1); !strings.Contains(got, want) {
			t.Errorf("the forwarder's metrics have no %q", want)
		}
	}
	// The publisher sees each prefix once, whoever wants it.
	if got := metrics(serveHTTP); !strings.Contains(got, "spancast_subscriptions 2\n") {
		t.Error("the publisher counts other subscriptions than the two")
	}
	replica.Stop()
	f.Stop()
}
