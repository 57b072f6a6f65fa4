package emulator

import (
	"slices"
	"testing"
)

func TestStatements_SplitsAtSemicolonsThatEndThem(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, " ;; \n": nil, "A": {"A"}, "A;B;": {"A", "B"}, "A\n;\n B ": {"A", "B"},
		"A DEFAULT (';');B": {"A DEFAULT (';')", "B"}, `A "x;\";y";B`: {`A "x;\";y"`, "B"}, "A `;`;B": {"A `;`", "B"},
		"A -- no; end\n;B": {"A -- no; end", "B"}, "# only; this\n; A": {"A"}, "/* a; b */ A /* ; */; B": {"/* a; b */ A /* ; */", "B"},
		"A 'open;": {"A 'open;"}, "A -- ;": {"A -- ;"}, "/*; A": nil,
	} {
		if got := statements(text); !slices.Equal(got, want) {
			t.Errorf("%q splits into %q, want %q", text, got, want)
		}
	}
}
