package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of variables into docs/configuration.md")

// TestDocumentation_HasTheVariables keeps docs/configuration.md in step with the
// struct; make docs mends it.
func TestDocumentation_HasTheVariables(t *testing.T) {
	clearEnv(t)
	const path, begin, end = "../../../../docs/configuration.md", "<!-- The table is made by: make docs -->\n", "<!-- end of table -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost its marks", path)
	}
	table, err := Load().Print("md")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != table {
		t.Errorf("%s is out of step with the struct: make docs", path)
	}
}
