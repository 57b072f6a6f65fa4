package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
)

// TestReplay_PassesInLittleMemory: however much a subscriber has missed, it
// needs 64 MB to have it replayed, with verification, which remembers keys and
// versions. The pages of the program's file are not counted: they are the
// kernel's to take away. SPANCAST_REPLAY is the number of changes (make
// bench-subscriber: 1,000,000).
func TestReplay_PassesInLittleMemory(t *testing.T) {
	t.Parallel()
	n := 60_000
	if text := os.Getenv("SPANCAST_REPLAY"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SPANCAST_REPLAY: %v", err)
		}
	}
	env, _ := backlog{records: n, columns: 1, text: 700, partitions: 2}.open(t)
	since := env["SPANCAST_START_AT"]
	env["SPANCAST_START_AT"] = "now"
	replica := harness.Serve(t, env)
	var stderr bytes.Buffer
	tail := exec.Command(harness.Binary(t), "tail", "--connect", replica.Endpoint, "--since", since, "--verify", "--format", "json", "--count", strconv.Itoa(n))
	tail.Stderr = &stderr
	began := time.Now()
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tail.Wait() }()
	most := watch(tail.Process.Pid, ended, harness.Patience+time.Duration(n)*100*time.Microsecond)
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
	default:
		tail.Process.Kill()
		<-ended
		t.Fatalf("it does not come to an end\n%s", stderr.String())
	}
	took := time.Since(began)
	t.Logf("%d changes in %s (%.0f/s), %d MiB at most", n, took.Round(time.Millisecond), float64(n)/took.Seconds(), most>>20)
	if !strings.Contains(stderr.String(), fmt.Sprintf("verified changes=%d ", n)) {
		t.Errorf("not verified: %s", stderr.String())
	}
	if most > 64_000_000 {
		t.Errorf("%d bytes of memory, want at most 64 MB", most)
	}
	replica.Stop()
}

// watch returns the most memory of its own that a process had, which it looks at
// until the process has ended, whose result it leaves there.
func watch(pid int, ended chan error, patience time.Duration) (most int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && len(ended) == 0; <-tick.C {
		most = max(most, memoryOf(pid, "RssAnon"))
	}
	return most
}
