package web

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/cmd/spancast/internal/telemetry"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
)

const database = "projects/p/instances/i/databases/shop"

// A shop is an embedded Spanner with a change stream, its partitions, and who
// writes to it.
type shop struct {
	t      *testing.T
	server *emulator.Server
	client *spanner.Client
	env    map[string]string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	ctx := t.Context()
	server, err := emulator.Start(ctx, emulator.Options{MinHeartbeat: 100 * time.Millisecond, ChurnEvery: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.CreateDatabase(database, emulator.GoogleSQL, "CREATE TABLE Orders (Id INT64 NOT NULL) PRIMARY KEY (Id)", "CREATE CHANGE STREAM S FOR Orders"); err != nil {
		t.Fatal(err)
	}
	client, err := spanner.NewClientWithConfig(ctx, database, spanner.ClientConfig{DisableNativeMetrics: true}, server.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s := &shop{t: t, server: server, client: client, env: map[string]string{
		"SPANNER_EMULATOR_HOST": server.Addr(), "SPANCAST_DATABASE": database, "SPANCAST_CHANGE_STREAM": "S", "SPANCAST_LEASE": "2s", "SPANCAST_CHECKPOINT_INTERVAL": "200ms"}}
	if status, _, stderr := harness.Run(t, s.env, "admin", "bootstrap"); status != 0 {
		t.Fatal(stderr)
	}
	return s
}

// insert commits a row.
func (s *shop) insert(id int) time.Time {
	s.t.Helper()
	at, err := s.client.Apply(s.t.Context(), []*spanner.Mutation{spanner.Insert("Orders", []string{"Id"}, []any{id})})
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// serve starts a replica and returns where its page is.
func (s *shop) serve(more ...string) (*harness.Replica, string) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	env := map[string]string{"SPANCAST_HTTP": address}
	for k, v := range s.env {
		env[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return harness.Serve(s.t, env), "http://" + address
}

func request(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// TestPage_OfALivingFleet: two replicas; changes show as they are published, a
// replica that is killed shows as silent, and so does the end of the one that
// serves the page.
func TestPage_OfALivingFleet(t *testing.T) {
	s := newShop(t)
	a, url := s.serve()
	b, _ := s.serve()
	sub := harness.Subscribe(t, []string{a.Endpoint, b.Endpoint}, "", "Orders/")
	sub.Reading()
	p := open(t, url, 1280, 900)
	p.shows("ready", "ready")
	p.shows("stream", "S")
	p.until("status.replicas.length === 2")
	p.shows("subscriptions", "Orders/")
	sub.Resolved(s.insert(1))
	sub.Resolved(s.insert(2))
	p.until("status.partitions.some(p => p.parents.length > 0) && partitions.some(p => p.state === 'FINISHED')")
	p.shows("config", "")
	if got := eval[string](p, "status.config.find(c => c.name === 'SPANCAST_LEASE').value"); got != "2s" {
		t.Errorf("the page says that the lease is %q", got)
	}
	b.Kill()
	p.shows("replicas", "silent")
	p.shows("t-replicas", "1 of 2")
	// Whoever owned what: the one that is left publishes it.
	sub.Resolved(s.insert(3))
	p.until("status.topics.some(t => t.topic === 'Orders/' && t.count >= 1)")
	p.shows("topics", "Orders/INSERT/")
	p.mu.Lock()
	p.lost = true
	p.mu.Unlock()
	a.Stop()
	p.shows("ready", "no connection")
	p.shows("alert", "No connection to this replica")
}

// TestServe_AnswersOverHTTP: health checks, directory, status, metrics, log level,
// and who is not let in.
func TestServe_AnswersOverHTTP(t *testing.T) {
	s := newShop(t)
	replica, url := s.serve("SPANCAST_PROFILE", "true", "SPANCAST_LOG_LEVEL", "info")
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	sub.Resolved(s.insert(1))
	for _, check := range []string{"live", "ready", "startup"} {
		if r, body := request(t, "GET", url+"/healthz/"+check, ""); r.StatusCode != 200 || body != "{\"ok\":true,\"reasons\":[]}\n" {
			t.Errorf("%s: %d %s", check, r.StatusCode, body)
		}
	}
	var hello message.HelloBody
	if _, body := request(t, "GET", url+"/v1/endpoints", ""); json.Unmarshal([]byte(body), &hello) != nil || hello.Endpoints[0].Publish[0] != replica.Endpoint {
		t.Errorf("endpoints: %s", body)
	}
	s.standing(url)
	everyInstrument(t, url)
	r, _ := request(t, "GET", url+"/", "")
	for header, want := range map[string]string{"Content-Security-Policy": "style-src 'self' 'sha256-", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
		if !strings.Contains(r.Header.Get(header), want) {
			t.Errorf("%s: %q", header, r.Header.Get(header))
		}
	}
	// A page of another site that calls this address by a name of its own.
	for _, path := range []string{"/v1/status", "/debug/pprof/", "/"} {
		if r, _ := request(t, "GET", url+path, "", "Host", "evil.example"); r.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s of another host: %d", path, r.StatusCode)
		}
	}
	if r, _ := request(t, "GET", url+"/debug/pprof/cmdline", ""); r.StatusCode != 200 {
		t.Errorf("profiles: %d", r.StatusCode)
	}
	levels(t, replica, url)
	replica.Stop()
}

// status waits until /v1/status is as it should be.
func (s *shop) status(url, what string, is func(Status) bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		var status Status
		_, body := request(s.t, "GET", url+"/v1/status", "")
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			s.t.Fatalf("status: %s, %v", body, err)
		}
		if is(status) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s: %s", what, body)
		}
	}
}

// standing waits until /v1/status knows this replica, its partitions and topics.
func (s *shop) standing(url string) {
	s.t.Helper()
	s.status(url, "all to be known", func(status Status) bool {
		if status.Totals.Messages != 1 || !status.Replica.Ready || status.Resolved.Own == nil {
			s.t.Fatalf("status: %+v", status)
		}
		return len(status.Topics) == 3 && len(status.Replicas) == 1 && status.Replicas[0].Self && status.Replicas[0].Partitions > 0 && len(status.Partitions) > 0 && status.Partitions[0].Owner != ""
	})
}

// everyInstrument holds /metrics to the list of instruments, and back.
func everyInstrument(t *testing.T, url string) {
	t.Helper()
	_, plain := request(t, "GET", url+"/metrics", "")
	r, open := request(t, "GET", url+"/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(open, "# EOF\n") {
		t.Errorf("no OpenMetrics: %s", r.Header.Get("Content-Type"))
	}
	there := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (spancast_\S+)`).FindAllStringSubmatch(plain, -1) {
		there[m[1]] = true
	}
	for _, i := range telemetry.Instruments() {
		if !there[i.Prometheus()] {
			t.Errorf("%s is not in /metrics as %s", i.Name, i.Prometheus())
		}
		delete(there, i.Prometheus())
	}
	for name := range there {
		t.Errorf("%s is not on the list of instruments", name)
	}
	for _, want := range []string{"spancast_messages_sent_total 1\n", "spancast_ready 1\n", "spancast_publish_lag_seconds_count 1\n",
		`spancast_topic_messages_total{topic="Orders/INSERT/"} 1`, "process_resident_memory_bytes ", "go_goroutines "} {
		if !strings.Contains(plain, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
}

// levels changes the log level over HTTP and by signals.
func levels(t *testing.T, replica *harness.Replica, url string) {
	t.Helper()
	if r, body := request(t, "PUT", url+"/v1/log-level", `{"level":"loud"}`); r.StatusCode != 400 {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if r, _ := request(t, "POST", url+"/v1/log-level", ""); r.StatusCode != 405 {
		t.Errorf("POST: %d", r.StatusCode)
	}
	if _, body := request(t, "PUT", url+"/v1/log-level", `{"level":"debug"}`); body != "{\"level\":\"DEBUG\"}\n" {
		t.Error(body)
	}
	replica.Logged(`"severity":"DEBUG"`)
	replica.Signal(syscall.SIGUSR2)
	replica.Logged(`"message":"the log level was changed","from":"DEBUG","to":"INFO"`)
	replica.Signal(syscall.SIGUSR1)
	replica.Logged(`"message":"the log level was changed","from":"INFO","to":"DEBUG"`)
}
