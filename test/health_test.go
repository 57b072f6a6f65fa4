package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
)

// freePort returns a loopback address that nobody listens on. Its port is below
// those that systems give to whoever connects: one of them could be somebody's
// own by the time it is listened on.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// health asks a health check until its status is the one that is wanted.
func health(t *testing.T, address, check string, want int) (reasons []string) {
	t.Helper()
	deadline := time.Now().Add(harness.Patience)
	for {
		r, err := http.Get("http://" + address + "/healthz/" + check)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			OK      bool
			Reasons []string
		}
		err = json.NewDecoder(r.Body).Decode(&body)
		r.Body.Close()
		if err != nil || body.OK != (r.StatusCode == 200) {
			t.Fatalf("%d, %+v, %v", r.StatusCode, body, err)
		}
		if r.StatusCode == want {
			return body.Reasons
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: status %d, %q; want %d", check, r.StatusCode, body.Reasons, want)
		}
	}
}

// metric is a value at /metrics.
func metric(t *testing.T, page, series string) float64 {
	t.Helper()
	answer, err := http.Get(page + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in\n%s", series, text)
	return 0
}

// TestServe_AnnouncesAGapAndStaysUnready: with ON_GAP=stop, positions older than
// retention stop their partitions, are announced on $gap/, and show in the
// readiness; a restart with ON_GAP=skip goes on, and announces them too.
func TestServe_AnnouncesAGapAndStaysUnready(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	server := embedded(t, emulator.Options{})
	const database = "projects/p/instances/i/databases/shop"
	if err := server.CreateDatabase(database, emulator.GoogleSQL, "CREATE TABLE T (Id INT64 NOT NULL) PRIMARY KEY (Id)", "CREATE CHANGE STREAM S FOR T"); err != nil {
		t.Fatal(err)
	}
	client, err := spanner.NewClientWithConfig(ctx, database, spanner.ClientConfig{DisableNativeMetrics: true}, server.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	insert := func(id int) time.Time {
		at, err := client.Apply(ctx, []*spanner.Mutation{spanner.Insert("T", []string{"Id"}, []any{id})})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	address := freePort(t)
	env := map[string]string{"SPANNER_EMULATOR_HOST": server.Addr(), "SPANCAST_DATABASE": database, "SPANCAST_CHANGE_STREAM": "S", "SPANCAST_HTTP": address}
	if status, _, stderr := harness.Run(t, env, "admin", "bootstrap"); status != 0 {
		t.Fatal(stderr)
	}
	replica := harness.Serve(t, env)
	health(t, address, "live", 200)
	health(t, address, "ready", 200)
	harness.Subscribe(t, []string{replica.Endpoint}, "").Resolved(insert(1))
	replica.Stop()

	insert(2)
	server.Advance(25 * time.Hour)
	replica = harness.Serve(t, env)
	reasons := health(t, address, "ready", 503)
	if len(reasons) == 0 || !strings.Contains(reasons[0], "the change stream keeps what came after") && !strings.Contains(reasons[0], "not known yet") {
		t.Errorf("reasons %q", reasons)
	}
	health(t, address, "live", 200)
	replica.Logged("changes are lost.*policy\":\"stop\"")
	replica.Stop()

	env["SPANCAST_ON_GAP"], env["SPANCAST_REQUIRE_SUBSCRIBER"] = "skip", "true"
	env["SPANCAST_BIND"] = "tcp://" + freePort(t)
	sub := harness.Subscribe(t, []string{env["SPANCAST_BIND"]}, "")
	replica = harness.Serve(t, env)
	sub.Until("the announcement", func(all []*harness.Message) bool {
		for _, m := range all {
			var gap message.GapBody
			if m.Topic == message.Gap && json.Unmarshal(m.Body, &gap) == nil && gap.Policy == "skip" && gap.From < gap.To {
				return true
			}
		}
		return false
	})
	sub.Resolved(insert(3))
	health(t, address, "ready", 200)
	if changes := sub.Changes(); len(changes) != 1 || !strings.Contains(string(changes[0].Body), `{"Id":"3"}`) {
		t.Errorf("%d changes came after the gap", len(changes))
	}
	replica.Stop()
}
