package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestScenarios_EachHasItsProof: every test and every scenario file that
// docs/scenarios.md names is there, and the table has all 25 rows.
func TestScenarios_EachHasItsProof(t *testing.T) {
	root := ".."
	table, err := os.ReadFile(filepath.Join(root, "docs", "scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]+) \|$`).FindAllSubmatch(table, -1)
	if len(rows) != 25 {
		t.Errorf("%d scenarios, want 25", len(rows))
	}
	for _, row := range rows {
		names := regexp.MustCompile("`([^`]+)`").FindAllSubmatch(row[2], -1)
		if len(names) == 0 {
			t.Errorf("scenario %s has no proof", row[1])
		}
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(root, string(name[1]))); err != nil && !tests[string(name[1])] {
				t.Errorf("scenario %s: there is no %s", row[1], name[1])
			}
		}
	}
}
