package web

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
)

// collect is a collector for OTLP: it tells which of some names came, and where.
func collect(t *testing.T, names ...string) (url string, got <-chan string) {
	t.Helper()
	came := make(chan string, 1000)
	collector := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, name := range names {
			if bytes.Contains(body, []byte(name)) {
				select {
				case came <- r.URL.Path + " " + name:
				default:
				}
			}
		}
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go collector.Serve(l)
	t.Cleanup(func() { collector.Close() })
	return "http://" + l.Addr().String(), came
}

// TestServe_SendsMetricsAndSpans where the standard variables of OpenTelemetry
// say, without being asked. Messages carry the trace of their batch, and
// histograms have it as an exemplar.
func TestServe_SendsMetricsAndSpans(t *testing.T) {
	collector, got := collect(t, "spancast.messages.sent", "checkpoint", "publish", "poll", "lease view")
	s := newShop(t)
	replica, url := s.serve("OTEL_EXPORTER_OTLP_ENDPOINT", collector, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf",
		"OTEL_METRIC_EXPORT_INTERVAL", "200", "OTEL_BSP_SCHEDULE_DELAY", "200")
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	sub.Resolved(s.insert(1))
	want := map[string]bool{"/v1/metrics spancast.messages.sent": true, "/v1/traces checkpoint": true, "/v1/traces publish": true, "/v1/traces poll": true, "/v1/traces lease view": true}
	deadline := time.After(patience)
	for len(want) > 0 {
		select {
		case what := <-got:
			delete(want, what)
		case <-deadline:
			t.Fatalf("did not come: %v", want)
		}
	}
	parent := sub.Changes()[0].Attributes.Traceparent
	if !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`).MatchString(parent) {
		t.Fatalf("traceparent %q", parent)
	}
	_, metrics := request(t, "GET", url+"/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.Contains(metrics, `trace_id="`+parent[3:35]+`"`) {
		t.Errorf("the lag of trace %s is no exemplar", parent[3:35])
	}
	replica.Stop()
}

// TestServe_UnsampledMessagesSayNothing of traces: the header stays short.
func TestServe_UnsampledMessagesSayNothing(t *testing.T) {
	collector, _ := collect(t)
	s := newShop(t)
	replica, _ := s.serve("OTEL_EXPORTER_OTLP_ENDPOINT", collector, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "OTEL_TRACES_SAMPLER", "always_off")
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	sub.Resolved(s.insert(1))
	if parent := sub.Changes()[0].Attributes.Traceparent; parent != "" {
		t.Errorf("traceparent %q", parent)
	}
	replica.Stop()
}

// TestServe_MeasuresTheClientOfSpanner, on the same registry, with labels that
// have few values.
func TestServe_MeasuresTheClientOfSpanner(t *testing.T) {
	s := newShop(t)
	replica, url := s.serve("SPANNER_EMULATOR_HOST", "", "SPANCAST_SPANNER_ENDPOINT", s.server.Addr(), "SPANCAST_METADATA_ENDPOINT", s.server.Addr())
	s.status(url, "the tables to be read", func(st Status) bool { return len(st.Replicas) == 1 && st.Replicas[0].Partitions > 0 })
	_, metrics := request(t, "GET", url+"/metrics", "")
	for _, want := range []string{`spanner_client_operation_count_total{database="shop",method="Spanner.Commit",status="OK"} `, `spanner_client_attempt_count_total{database="shop"`,
		`spanner_client_operation_latencies_milliseconds_bucket{database="shop",method="Spanner.StreamingRead",status="OK",le="25"} `} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	series := regexp.MustCompile(`(?m)^spanner_[a-z_]+(\{[^}]*\})?`).FindAllString(metrics, -1)
	for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(strings.Join(series, " "), -1) {
		if l := label[1]; l != "database" && l != "method" && l != "status" && l != "le" {
			t.Errorf("label %s", l)
		}
	}
	if len(series) > 500 {
		t.Errorf("%d series", len(series))
	}
	replica.Stop()
}
