// Package harness runs the spancast binary for tests of the whole, and
// subscribes to what it publishes with a plain SUB socket.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// built is the binary of this test run. It is built with the race detector when
// the tests are.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "spancast-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "spancast")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command("go", append(args, "./cmd/spancast")...)
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	return path, nil
})

// Binary builds spancast, once for a test binary, and returns its path.
// SPANCAST_TEST_BINARY names another one to be tested.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SPANCAST_TEST_BINARY"); path != "" {
		return path
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
