package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// python returns an interpreter that has pyzmq: Debian's, or whichever is first.
func python(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import zmq").Run() == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("CI must have pyzmq: apt-get install python3-zmq")
	}
	t.Skip("SKIPPED, NOT TESTED: no pyzmq here (apt-get install python3-zmq)")
	return ""
}

// TestPython_ASubscriberWithNothingOfOurs checks the frames in another language.
func TestPython_ASubscriberWithNothingOfOurs(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	s := newShop(t, spannerdb.Host(t))
	replica := harness.Serve(t, s.env)
	harness.Subscribe(t, []string{replica.Endpoint}, "").Reading()
	cmd := exec.Command(interpreter, "subscriber.py", replica.Endpoint, "Orders/", "30")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(harness.Patience, func() { cmd.Process.Kill() })
	defer timeout.Stop()
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "active" {
		t.Fatalf("the subscription was not answered: %q %s", lines.Text(), stderr.String())
	}
	for i := range 30 {
		s.commit(i%3, "Orders", "Users")
	}
	n := 0
	for lines.Scan() {
		var line struct {
			Topic string
			Body  struct {
				Keys struct{ Id string }
				New  struct{ V string } `json:"new_values"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if want := fmt.Sprint(n % 3); line.Body.Keys.Id != want || line.Body.New.V != fmt.Sprint(n/3+1) {
			t.Errorf("change %d: %s", n, lines.Text())
		}
		n++
	}
	if err := cmd.Wait(); err != nil || n != 30 {
		t.Errorf("%d changes, %v: %s", n, err, stderr.String())
	}
	replica.Stop()
}
