package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/bench/part"
)

// A process is one that a benchmark started. It is not in our process group:
// Ctrl-C is for us to deal with.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	log  *tail
	done chan struct{}
}

// start starts a process of this program.
func (r *run) start(env []string, args ...string) (*process, error) {
	cmd := exec.CommandContext(context.WithoutCancel(r.ctx), r.opt.Binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(clean(os.Environ()), env...)
	p := &process{cmd: cmd, log: new(tail), done: make(chan struct{})}
	cmd.Stderr = p.log
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReaderSize(out, 1<<20)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		cmd.Process.Wait()
		close(p.done)
	}()
	return p, nil
}

// clean leaves out what would change what is measured.
func clean(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, "SPANCAST_") && !strings.HasPrefix(v, "SPANNER_") && !strings.HasPrefix(v, "OTEL_") && !strings.HasPrefix(v, "GO") {
			out = append(out, v)
		}
	}
	return out
}

// stop ends a process and waits for it.
func (p *process) stop() {
	p.in.Close()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// A child is a part at work.
type child struct {
	*process
	role part.Role
}

// part starts a part.
func (r *run) part(role part.Role, q part.Request, env ...string) (*child, error) {
	p, err := r.start(env, "bench-part", string(role))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(q)
	if err == nil {
		_, err = p.in.Write(append(text, '\n'))
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return &child{p, role}, nil
}

// status asks a part how far it is.
func (c *child) status() (*part.Status, error) {
	var s part.Status
	_, err := c.in.Write([]byte("\n"))
	if err == nil {
		var text []byte
		if text, err = c.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(text, &s)
		}
	}
	if err == nil && s.Error != "" {
		err = errors.New(s.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; %s", c.role, err, c.log.last())
	}
	return &s, nil
}

// A tail keeps what a process says, its end at least, and adds up what the Go
// runtime says of garbage collections.
type tail struct {
	mu      sync.Mutex
	text    []byte
	partial []byte
	collect time.Duration
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, b...)
	for {
		line, rest, found := bytes.Cut(t.partial, []byte("\n"))
		if !found {
			return len(b), nil
		}
		if used, ok := collection(string(line)); ok {
			t.collect += used
		} else {
			t.text = append(append(t.text, line...), '\n')
			if len(t.text) > 64<<10 {
				t.text = t.text[32<<10:]
			}
		}
		t.partial = rest
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// collected is the processor time that garbage collection took so far.
func (t *tail) collected() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.collect
}

// last is the last line, for an error.
func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(t.String()), "\n")
	return lines[len(lines)-1]
}

// collection reads a line of GODEBUG=gctrace=1: of its "a+b/c/d+e ms cpu" all
// but d, which was idle.
func collection(line string) (time.Duration, bool) {
	if !strings.HasPrefix(line, "gc ") {
		return 0, false
	}
	_, cpu, found := strings.Cut(line, " ms clock, ")
	cpu, _, ended := strings.Cut(cpu, " ms cpu")
	if !found || !ended {
		return 0, false
	}
	var a, b, c, d, e float64
	if _, err := fmt.Sscanf(strings.NewReplacer("+", " ", "/", " ").Replace(cpu), "%g %g %g %g %g", &a, &b, &c, &d, &e); err != nil {
		return 0, false
	}
	return time.Duration((a + b + c + e) * float64(time.Millisecond)), true
}
