package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long tests wait for what should come soon.
const Patience = 60 * time.Second

// A Process is a running spancast.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	line func(string) // gets each line of the log, if set

	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	wake   chan struct{} // closed and replaced when a line of stderr came
}

// keptLog is how much is kept of a log whose lines go to somebody else, in bytes.
const keptLog = 32 << 10

// Start runs spancast with arguments and an environment of nothing but env. It
// is killed when the test ends.
func Start(t testing.TB, env map[string]string, args ...string) *Process {
	t.Helper()
	return StartLogged(t, env, nil, args...)
}

// StartLogged is Start for a process that runs for long: each line of its log
// goes to line, in order, and only the last of them are kept.
func StartLogged(t testing.TB, env map[string]string, line func(string), args ...string) *Process {
	t.Helper()
	p := &Process{t: t, done: make(chan struct{}), wake: make(chan struct{}), line: line}
	p.cmd = exec.Command(Binary(t), args...)
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for k, v := range env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.collect(stdout, &p.stdout) })
	readers.Go(func() { p.collect(stderr, &p.stderr) })
	go func() {
		readers.Wait()
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("spancast %s:\n%s", strings.Join(args, " "), p.Stderr())
		}
	})
	return p
}

func (p *Process) collect(from io.Reader, to *bytes.Buffer) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if to == &p.stderr && p.line != nil && line != "" {
			p.line(line)
		}
		p.mu.Lock()
		to.WriteString(line)
		if p.line != nil && to.Len() > 2*keptLog {
			to.Next(to.Len() - keptLog)
		}
		close(p.wake)
		p.wake = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Stdout is what was printed so far.
func (p *Process) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// Stderr is what was logged so far.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Wait waits until the process has ended and returns its exit status, -1 if a
// signal ended it.
func (p *Process) Wait(patience time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("spancast did not end within %s; its log:\n%s", patience, p.Stderr())
		return 0
	}
}

// Kill ends the process as a crash would.
func (p *Process) Kill() {
	p.t.Helper()
	p.cmd.Process.Kill()
	<-p.done
}

// Stop ends the process in order, and fails the test unless that goes well.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if status := p.Wait(Patience); status != 0 {
		p.t.Errorf("exit status %d after SIGTERM", status)
	}
}

// Logged waits until the log matches, and returns the submatches.
func (p *Process) Logged(pattern string) []string {
	p.t.Helper()
	return p.matched("log", pattern, &p.stderr)
}

// Printed waits until what was printed matches, and returns the submatches.
func (p *Process) Printed(pattern string) []string {
	p.t.Helper()
	return p.matched("print", pattern, &p.stdout)
}

func (p *Process) matched(verb, pattern string, in *bytes.Buffer) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(Patience)
	for ended := false; ; {
		p.mu.Lock()
		wake := p.wake
		match := re.FindStringSubmatch(in.String())
		p.mu.Unlock()
		if match != nil {
			return match
		}
		if ended {
			p.t.Fatalf("spancast ended and did not %s %q; its log:\n%s", verb, pattern, p.Stderr())
		}
		select {
		case <-wake:
		case <-p.done:
			ended = true
		case <-deadline:
			p.t.Fatalf("spancast did not %s %q; its log:\n%s", verb, pattern, p.Stderr())
		}
	}
}

// Run runs a command to its end.
func Run(t testing.TB, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p := Start(t, env, args...)
	status = p.Wait(Patience)
	return status, p.Stdout(), p.Stderr()
}

// A Replica is a running spancast serve.
type Replica struct {
	*Process
	Endpoint string // where it publishes
	Recover  string // its recovery endpoint
	ID       string // in the metadata tables
}

// Serve starts spancast serve on a free port, with short intervals, and waits
// until it says where it publishes.
func Serve(t testing.TB, env map[string]string) *Replica {
	t.Helper()
	return ServeLogged(t, env, nil)
}

// ServeLogged is Serve for a process that runs for long; see StartLogged.
func ServeLogged(t testing.TB, env map[string]string, line func(string)) *Replica {
	t.Helper()
	all := map[string]string{
		"SPANCAST_BIND": "tcp://127.0.0.1:*", "SPANCAST_RECOVERY_BIND": "tcp://127.0.0.1:*", "SPANCAST_HTTP": "none", "SPANCAST_LOG_LEVEL": "debug", "SPANCAST_HEARTBEAT": "100ms",
		"SPANCAST_RESOLVED_INTERVAL": "50ms", "SPANCAST_CHECKPOINT_INTERVAL": "200ms", "SPANCAST_CHECKPOINT_LAG": "500ms", "SPANCAST_LEASE": "3s",
	}
	for k, v := range env {
		all[k] = v
	}
	p := StartLogged(t, all, line, "serve")
	banner := p.Logged(`"message":"(reading change stream [^"]*)"`)
	endpoint := regexp.MustCompile(`publishing on ([^,;" ]+)`).FindStringSubmatch(unquote(banner[1]))
	if endpoint == nil {
		t.Fatalf("no endpoint in %s", banner[1])
	}
	r := &Replica{Process: p, Endpoint: endpoint[1], ID: p.Logged(`"reading change stream .*"replica":"([^"]+)"`)[1]}
	if found := regexp.MustCompile(`recovery on ([^,;" ]+)`).FindStringSubmatch(unquote(banner[1])); found != nil {
		r.Recover = found[1]
	}
	return r
}

func unquote(s string) string {
	var out string
	if json.Unmarshal([]byte(`"`+s+`"`), &out) != nil {
		return s
	}
	return out
}
