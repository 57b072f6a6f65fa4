package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// metrics are the names at /metrics, from their documentation, which a test of
// its own holds to the program. Of histograms they are those of the parts.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `[a-z._]+` \\| `([a-z_]+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(text), -1) {
		if m[2] != "histogram" {
			out[m[1]] = true
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			out[m[1]+part] = true
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d metrics in docs/metrics.md", len(out))
	}
	return out
}

// others are metrics of Go, of the process and of Spanner's client that are used.
// A test of package web sees the latter.
func others() []string {
	return []string{"spanner_client_operation_count_total", "spanner_client_attempt_count_total", "spanner_client_operation_latencies_milliseconds_bucket",
		"process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines", "go_memstats_heap_inuse_bytes"}
}

// existing checks the names of metrics in an expression.
func existing(t *testing.T, where, expression string) {
	t.Helper()
	known := metrics(t)
	for _, name := range others() {
		known[name] = true
	}
	found := regexp.MustCompile(`\b(spancast|spanner|process|go)_[a-z_]+\b`).FindAllString(expression, -1)
	if len(found) == 0 {
		t.Errorf("%s: no metric in %q", where, expression)
	}
	for _, name := range found {
		if !known[name] {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}

// TestAlerts_AreWhole: their metrics exist, each has a runbook and a test, and
// every runbook is of one.
func TestAlerts_AreWhole(t *testing.T) {
	text, err := os.ReadFile("../prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../prometheus/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	runbooks := make(map[string]bool)
	for _, rule := range file.Groups[0].Rules {
		existing(t, rule.Alert, rule.Expr)
		runbooks[rule.Alert+".md"] = true
		book, err := os.ReadFile("../../docs/runbooks/" + rule.Alert + ".md")
		if err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
		}
		for _, part := range []string{"## What it means", "## Where to look", "## What to do", rule.Expr} {
			if !strings.Contains(string(book), part) {
				t.Errorf("the runbook of %s has no %q", rule.Alert, part)
			}
		}
		if !strings.HasSuffix(rule.Annotations["runbook_url"], "/docs/runbooks/"+rule.Alert+".md") || rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
			t.Errorf("%s: %v %v", rule.Alert, rule.Labels, rule.Annotations)
		}
		if !strings.Contains(string(tests), "name: "+rule.Alert+" fires\n") {
			t.Errorf("%s has no test", rule.Alert)
		}
	}
	entries, err := os.ReadDir("../../docs/runbooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !runbooks[e.Name()] && e.Name() != "README.md" {
			t.Errorf("runbook %s is of no alert", e.Name())
		}
	}
}

// TestAlerts_FireWhenTheyShould, and only then, as promtool sees it.
func TestAlerts_FireWhenTheyShould(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED, NOT TESTED: %v (apt-get install prometheus)", err)
	}
	if out, err := exec.Command(promtool, "test", "rules", "../prometheus/alerts_test.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDashboard_ShowsWhatThereIs: every query is of metrics that exist, no two
// panels have one id, and all metrics of Spancast can be seen, but for a few.
func TestDashboard_ShowsWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../grafana/spancast.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	ids, shown := make(map[int]bool), ""
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			existing(t, p.Title, target.Expr)
			shown += target.Expr + "\n"
		}
	}
	for name := range metrics(t) {
		if strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") || name == "spancast_build_info" || name == "spancast_buffer_limit_bytes" {
			continue
		}
		if !strings.Contains(shown, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}
