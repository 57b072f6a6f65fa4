// Package google runs Google's Cloud Spanner emulator as a child process.
//
// The binary comes with the Google Cloud SDK (component cloud-spanner-emulator)
// and is looked up where gcloud says the SDK is installed. The caller starts a
// Server, talks to its Addr in plain text (SPANNER_EMULATOR_HOST), and closes it;
// the emulator keeps nothing: when it ends, its databases are gone. It speaks
// gRPC only.
package google

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNotFound says that Google's emulator is not on this machine.
var ErrNotFound = errors.New("no Spanner emulator of Google's is installed")

// Options choose how the emulator runs. The zero value is what Google ships.
type Options struct {
	// PartitionLife shortens the life of change stream partitions: each lives
	// between this and twice this long, in whole seconds. 0 leaves the default
	// of 20 to 40 seconds.
	PartitionLife time.Duration
	// Port to listen on, on loopback; 0 takes a free one.
	Port int
	// Log receives what the emulator prints; nil discards it.
	Log io.Writer
}

// Server is a running emulator.
type Server struct {
	addr string
	proc *os.Process
	done chan struct{} // closed when the process has ended
}

// found is what Find has found: asking gcloud takes a second of a processor.
var found struct {
	sync.Mutex
	path string
}

// Find returns the path of the emulator's binary, or an error that wraps
// ErrNotFound and says how to install it. One that does not wrap it says that there
// was no time to find out.
func Find(ctx context.Context) (string, error) {
	found.Lock()
	defer found.Unlock()
	if found.path != "" {
		return found.path, nil
	}
	out, err := exec.CommandContext(ctx, "gcloud", "info", "--format=value(installation.sdk_root)").Output()
	if err != nil && ctx.Err() != nil {
		return "", fmt.Errorf("look for Google's emulator: gcloud info: %w", ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("%w: gcloud: %v (install the Google Cloud SDK and its component cloud-spanner-emulator)", ErrNotFound, err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "bin", "cloud_spanner_emulator", "emulator_main")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %v (gcloud components install cloud-spanner-emulator)", ErrNotFound, err)
	}
	found.path = path
	return path, nil
}

// Start finds and starts the emulator and returns once it listens. The process
// is killed when this one ends, however it ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	path, err := Find(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{"--host_port=127.0.0.1:" + strconv.Itoa(o.Port)}
	if o.PartitionLife > 0 {
		args = append(args, fmt.Sprintf("--override_change_stream_partition_token_alive_seconds=%d", max(1, int(o.PartitionLife/time.Second))))
	}
	s := &Server{done: make(chan struct{})}
	started := make(chan error, 1)
	go s.run(path, args, o.Log, started)
	select {
	case err := <-started:
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", path, err)
		}
		return s, nil
	case <-ctx.Done():
		go func() { // it may still come up: end it then
			if <-started == nil {
				s.Close()
			}
		}()
		return nil, fmt.Errorf("start %s: %w", path, ctx.Err())
	}
}

// run owns the process from fork to wait. It keeps its OS thread, because the
// kernel sends the parent-death signal when the forking thread ends.
func (s *Server) run(path string, args []string, log io.Writer, started chan<- error) {
	runtime.LockOSThread()
	defer close(s.done)
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		started <- err
		return
	}
	s.proc = cmd.Process
	s.follow(stderr, log, started)
	cmd.Wait()
}

// follow reads the emulator's log to its end and reports the address it names.
func (s *Server) follow(stderr io.Reader, log io.Writer, started chan<- error) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	last := ""
	for lines.Scan() {
		if log != nil {
			fmt.Fprintln(log, lines.Text())
		}
		last = lines.Text()
		if _, addr, ok := strings.Cut(last, "Server address: "); ok && s.addr == "" {
			s.addr = addr
			started <- nil
		}
	}
	if s.addr == "" {
		started <- fmt.Errorf("ended before it listened: %s", last)
	}
}

// Addr is the host:port to put into SPANNER_EMULATOR_HOST.
func (s *Server) Addr() string { return s.addr }

// Close ends the emulator and waits for it.
func (s *Server) Close() error {
	s.proc.Kill()
	<-s.done
	return nil
}
