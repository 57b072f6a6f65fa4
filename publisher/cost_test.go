package publisher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/spancast/spancast/topics"
)

// The guard of the record path's cost: allocations, which are counted in every
// run of the tests, and instructions, which are counted by valgrind in make
// bench-check, since they do not depend on what else the machine has to do.
// Both are compared with what testdata/cost.json says; make bench-check UPDATE=1
// writes it.
var costs = []struct {
	name          string
	records, mods int
	template      string
}{
	{"1mod", 16, 1, topics.Default},
	{"1mod-1record", 1, 1, topics.Default},
	{"20mods", 4, 20, topics.Default},
	{"key", 16, 1, "{table}/{key}/"},
}

// A recordedCost is what the file holds. Instructions mean something only with
// the same compiler, and with the same instructions to choose from.
type recordedCost struct {
	Go           string             `json:"go"`
	Machine      string             `json:"machine"`
	Allocations  map[string]float64 `json:"allocations_per_record"`
	Instructions map[string]float64 `json:"instructions_per_record"`
}

const (
	costFile = "testdata/cost.json"
	// costTolerance is how much more or less an instruction count may be.
	costTolerance = 0.03
	costPasses    = "SPANCAST_COST_PASSES" // runs the path so often, to be counted
	costCase      = "SPANCAST_COST_CASE"
)

func readCost(t *testing.T) recordedCost {
	t.Helper()
	var c recordedCost
	text, err := os.ReadFile(costFile)
	check(t, err)
	check(t, json.Unmarshal(text, &c))
	return c
}

// machine names what a Go program chooses its instructions by.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, feature := range []string{" avx2 ", " avx "} {
		if bytes.Contains(text, []byte(feature)) {
			return runtime.GOARCH + feature[:len(feature)-1]
		}
	}
	return runtime.GOARCH
}

func TestCost_AllocationsPerRecord(t *testing.T) {
	recorded := readCost(t)
	for _, c := range costs {
		pass, _ := recordPath(t, c.records, c.mods, c.template)
		got := testing.AllocsPerRun(100, pass) / float64(c.records)
		if limit, known := recorded.Allocations[c.name]; !known || got > limit {
			t.Errorf("%s: %v allocations a record, recorded are %v", c.name, got, limit)
		}
	}
}

func TestCost_InstructionsPerRecord(t *testing.T) {
	if os.Getenv(costPasses) != "" {
		countPasses(t)
		return
	}
	update := os.Getenv("UPDATE") != ""
	if os.Getenv("BENCH_CHECK") == "" && !update {
		t.Skip("make bench-check counts them")
	}
	if _, err := exec.LookPath("valgrind"); err != nil {
		t.Skip("NOT COMPARED: there is no valgrind here; .ci/setup test installs it")
	}
	recorded := readCost(t)
	now := recordedCost{Go: runtime.Version(), Machine: machine(), Allocations: map[string]float64{}, Instructions: map[string]float64{}}
	if !update && (now.Go != recorded.Go || now.Machine != recorded.Machine) {
		t.Skipf("NOT COMPARED: instructions were recorded with %s on %s, here are %s on %s; make bench-check UPDATE=1 on the commit before yours, then compare",
			recorded.Go, recorded.Machine, now.Go, now.Machine)
	}
	for _, c := range costs {
		passes := 10_000 / (c.records * c.mods) // enough that what else the runtime does is little beside it
		now.Instructions[c.name] = (instructions(t, c.name, 2*passes) - instructions(t, c.name, passes)) / float64(passes*c.records)
		now.Instructions[c.name] = float64(int(now.Instructions[c.name]))
		was := recorded.Instructions[c.name]
		t.Logf("%s: %.0f instructions a record, recorded are %.0f", c.name, now.Instructions[c.name], was)
		switch change := now.Instructions[c.name]/was - 1; {
		case update:
		case change > costTolerance:
			t.Errorf("%s: %.0f instructions a record, %.1f %% more than before; if that is what the change is worth, make bench-check UPDATE=1", c.name, now.Instructions[c.name], 100*change)
		case change < -costTolerance:
			t.Errorf("%s: %.0f instructions a record, %.1f %% fewer than before: make bench-check UPDATE=1 holds what was won", c.name, now.Instructions[c.name], -100*change)
		}
	}
	if update {
		writeCost(t, now)
	}
}

func writeCost(t *testing.T, now recordedCost) {
	t.Helper()
	for _, c := range costs {
		pass, _ := recordPath(t, c.records, c.mods, c.template)
		now.Allocations[c.name] = testing.AllocsPerRun(100, pass) / float64(c.records)
	}
	text, err := json.MarshalIndent(now, "", "  ")
	check(t, err)
	check(t, os.WriteFile(costFile, append(text, '\n'), 0o644))
}

// countPasses is what valgrind counts.
func countPasses(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(costPasses))
	check(t, err)
	for _, c := range costs {
		if c.name == os.Getenv(costCase) {
			pass, _ := recordPath(t, c.records, c.mods, c.template)
			for range n {
				pass()
			}
		}
	}
}

var counted = regexp.MustCompile(`I +refs: +([0-9,]+)`)

// instructions runs this test once more under valgrind, with one processor and no
// garbage collection, and returns how many instructions all of it took.
func instructions(t *testing.T, name string, passes int) float64 {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	cmd := exec.Command("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file="+filepath.Join(t.TempDir(), "out"),
		self, "-test.run", "^TestCost_InstructionsPerRecord$")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1", fmt.Sprint(costPasses, "=", passes), costCase+"="+name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("valgrind: %v\n%s", err, out)
	}
	found := counted.FindSubmatch(out)
	if found == nil {
		t.Fatalf("valgrind counted nothing:\n%s", out)
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(string(found[1]), ",", ""), 64)
	check(t, err)
	return n
}
