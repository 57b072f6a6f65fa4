package telemetry

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table in docs/metrics.md")

const (
	docs  = "../../../../docs/metrics.md"
	begin = "<!-- The table is made by: make docs -->\n"
	end   = "<!-- end of table -->\n"
)

// TestDocumentation_IsInStep holds docs/metrics.md to the instruments; dashboards
// and alerts are held to docs/metrics.md.
func TestDocumentation_IsInStep(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | at /metrics | kind | label | meaning |\n|---|---|---|---|---|\n")
	for _, i := range Instruments() {
		label := "-"
		if i.Label != "" {
			label = "`" + i.Label + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", i.Name, i.Prometheus(), i.Kind, label, i.Desc)
	}
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("no table in docs/metrics.md")
	}
	if old == b.String() {
		return
	}
	if !*update {
		t.Fatal("docs/metrics.md is not in step with the instruments; make docs writes it")
	}
	if err := os.WriteFile(docs, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
