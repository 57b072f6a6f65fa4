package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// TestExamples_NoticeAGapAndRecover runs the examples of other languages behind a
// connection that is cut while changes are committed.
func TestExamples_NoticeAGapAndRecover(t *testing.T) {
	t.Parallel()
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		recovers(t, python(t), "../examples/python/recover.py")
	})
	t.Run("node", func(t *testing.T) {
		t.Parallel()
		npm, err := exec.LookPath("npm")
		if err != nil {
			t.Skip("SKIPPED, NOT TESTED: no npm here")
		}
		if _, err := os.Stat("../examples/node/node_modules/zeromq"); err != nil {
			cmd := exec.CommandContext(t.Context(), npm, "install", "--no-audit", "--no-fund")
			cmd.Dir = "../examples/node"
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: npm install: %v\n%s", err, out)
			}
		}
		recovers(t, "node", "../examples/node/recover.mjs")
	})
}

// recovers lets an example lose changes in the middle, and at the end, and
// expects all of them from it.
func recovers(t *testing.T, command ...string) {
	server := embedded(t, emulator.Options{MinHeartbeat: 50 * time.Millisecond})
	s := newShop(t, server.Addr())
	replica := harness.Serve(t, s.env)
	harness.Subscribe(t, []string{replica.Endpoint}, "").Reading()
	proxy := harness.NewProxy(t, 1, 0)
	proxy.To(replica.Endpoint)
	e := runExample(t, append(command, proxy.Endpoint(), "Orders/", "60")...)
	e.says("replayed 0 changes from now")
	commit := func(n int) {
		for i := range n {
			s.commit(i%3, "Orders", "Users")
		}
	}
	commit(20)
	e.printed(20)
	for n := range 2 {
		proxy.To("tcp://127.0.0.1:1") // nobody
		proxy.Cut()
		commit(20) // nothing comes after them that would tell of the loss
		proxy.To(replica.Endpoint)
		e.printed(20 * (n + 2))
	}
	if n := strings.Count(e.stderr.String(), "replayed "); n < 2 {
		t.Errorf("nothing was lost, so that nothing is tested: %s", e.stderr)
	}
	if err := e.wait(); err != nil {
		t.Errorf("%v: %s", err, e.stderr.String())
	}
	for n, line := range strings.Split(strings.TrimSpace(e.stdout.String()), "\n") {
		var change struct {
			Body struct {
				Keys struct{ Id string }
				New  struct{ V string } `json:"new_values"`
			}
		}
		k := n % 20
		want := fmt.Sprintf("%d %d", k%3, n/20*[]int{7, 7, 6}[k%3]+k/3+1)
		if err := json.Unmarshal([]byte(line), &change); err != nil || change.Body.Keys.Id+" "+change.Body.New.V != want {
			t.Errorf("line %d: %s, want %s", n, line, want)
		}
	}
	replica.Stop()
}

// An example is a running program.
type example struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan error
}

// output collects what a program prints.
type output struct {
	ch chan []byte
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.ch <- bytes.Clone(b)
	return len(b), nil
}

func (o *output) String() string { return o.b.String() }

func runExample(t *testing.T, command ...string) *example {
	t.Helper()
	e := &example{t: t, cmd: exec.Command(command[0], command[1:]...), done: make(chan error, 1),
		stdout: &output{ch: make(chan []byte, 10_000)}, stderr: &output{ch: make(chan []byte, 10_000)}}
	e.cmd.Stdout, e.cmd.Stderr = e.stdout, e.stderr
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { e.done <- e.cmd.Wait() }()
	t.Cleanup(func() { e.cmd.Process.Kill() })
	return e
}

// until collects output until it is enough.
func (e *example) until(what string, enough func() bool) {
	e.t.Helper()
	deadline := time.After(harness.Patience)
	for !enough() {
		select {
		case b := <-e.stdout.ch:
			e.stdout.b.Write(b)
		case b := <-e.stderr.ch:
			e.stderr.b.Write(b)
		case <-deadline:
			e.t.Fatalf("no %s; it printed\n%s%s", what, e.stdout, e.stderr)
		}
	}
}

func (e *example) says(text string) {
	e.t.Helper()
	e.until(text, func() bool { return strings.Contains(e.stderr.String(), text) })
}

func (e *example) printed(lines int) {
	e.t.Helper()
	e.until(fmt.Sprint(lines, " lines"), func() bool { return strings.Count(e.stdout.String(), "\n") >= lines })
}

func (e *example) wait() error {
	select {
	case err := <-e.done:
		return err
	case <-time.After(harness.Patience):
		return fmt.Errorf("it does not end")
	}
}
