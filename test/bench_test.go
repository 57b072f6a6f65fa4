package test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spancast/spancast/test/harness"
)

// benchReport is what is looked at of a report in JSON.
type benchReport struct {
	Interrupted bool
	Tables      []struct {
		Name string
		Rows []map[string]any
	}
}

// TestBench_MeasuresEachBesideItsLimit: figures of every row are there, whatever
// they are.
func TestBench_MeasuresEachBesideItsLimit(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "bench.svg")
	status, out, log := harness.Run(t, nil, "bench", "--only", "path,throughput", "--duration", "100ms", "--json", "--svg", picture)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, log)
	}
	var r benchReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	want := map[string]struct {
		rows int
		keys []string
	}{
		"path":       {4, []string{"ns_per_record", "of_receiving", "allocs_per_record"}},
		"throughput": {4, []string{"spancast_per_s", "bare_per_s", "plain_per_s", "of_bare", "times_plain", "frame_bytes"}},
	}
	if len(r.Tables) != len(want) {
		t.Fatalf("%d tables in %s", len(r.Tables), out)
	}
	for _, table := range r.Tables {
		if len(table.Rows) != want[table.Name].rows {
			t.Errorf("%s has %d rows", table.Name, len(table.Rows))
		}
		for _, row := range table.Rows {
			for _, key := range want[table.Name].keys {
				if v, _ := row[key].(float64); v <= 0 {
					t.Errorf("%s, %s: %s is %v", table.Name, row["name"], key, row[key])
				}
			}
		}
	}
	wellFormed(t, picture)
}

func wellFormed(t *testing.T, picture string) {
	t.Helper()
	text, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture: %v", err)
		}
	}
	if bars := strings.Count(string(text), "<rect"); bars < 20 {
		t.Errorf("%d rectangles in the picture", bars)
	}
}

// TestBench_InterruptGivesWhatThereIs: the first measurement would take minutes.
func TestBench_InterruptGivesWhatThereIs(t *testing.T) {
	p := harness.Start(t, nil, "bench", "--only", "path", "--duration", "5m", "--json")
	p.Logged("path: 1 KB")
	p.Signal(syscall.SIGINT)
	if status := p.Wait(harness.Patience); status != 0 {
		t.Fatalf("exit status %d: %s", status, p.Stderr())
	}
	var r benchReport
	if err := json.Unmarshal([]byte(p.Stdout()), &r); err != nil || !r.Interrupted || len(r.Tables) != 1 {
		t.Errorf("%v: %s", err, p.Stdout())
	}
}

func TestBench_RefusesWhatItDoesNotKnow(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "cpu.pprof")
	for _, args := range [][]string{{"--only", "everything"}, {"--duration", "1ms"}, {"--svg", "/nowhere/at/all.svg"}, {"now"},
		{"--profile", "/nowhere/at/all.pprof"}, {"--only", "path", "--profile", profile}, {"--only", "path", "--rate", "1"}} {
		if status, out, log := harness.Run(t, nil, append([]string{"bench"}, args...)...); status != 2 || out != "" || log == "" {
			t.Errorf("%v: exit status %d, %q, %q", args, status, out, log)
		}
	}
	if _, err := os.Stat(profile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a profile that is not going to be written: %v", err)
	}
}
