package test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/test/harness"
)

// A terminal is a process at a pseudo terminal, and somebody who looks at it.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	user *os.File
	seen strings.Builder
}

// atTerminal starts spancast at a terminal.
func atTerminal(t *testing.T, env map[string]string, args ...string) *terminal {
	t.Helper()
	user, process := openTerminal(t)
	x := &terminal{t: t, cmd: exec.Command(harness.Binary(t), args...), user: user}
	x.cmd.Env = os.Environ()
	for k, v := range env {
		x.cmd.Env = append(x.cmd.Env, k+"="+v)
	}
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = process, process, process
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	process.Close()
	t.Cleanup(func() { x.cmd.Process.Kill() })
	if err := user.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	return x
}

// shows waits until the terminal shows something.
func (x *terminal) shows(pattern string) {
	x.t.Helper()
	buf := make([]byte, 4096)
	for re := regexp.MustCompile(pattern); !re.MatchString(x.seen.String()); {
		n, err := x.user.Read(buf)
		if x.seen.Write(buf[:n]); err != nil {
			x.t.Fatalf("%v; %q is not in %q", err, pattern, x.seen.String())
		}
	}
}

func (x *terminal) types(keys string) {
	x.t.Helper()
	if _, err := x.user.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// ends waits for the end, and returns the exit status.
func (x *terminal) ends() int {
	x.cmd.Wait()
	return x.cmd.ProcessState.ExitCode()
}

// TestTop_RedrawsATerminal in place, and ends at q and at Ctrl-C.
func TestTop_RedrawsATerminal(t *testing.T) {
	t.Parallel()
	o := newOffice(t, databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
	for _, key := range []string{"q", "\x03"} {
		x := atTerminal(t, o.env, "top", "--interval", "100ms")
		x.shows(`(?s)^\x1b\[\?1049h.*(\x1b\[H.*no replica is running.*\x1b\[J){2}`)
		x.types(key)
		x.shows(`\x1b\[\?1049l`)
		if status := x.ends(); status != 0 {
			t.Errorf("exit status %d after %q", status, key)
		}
	}
}

// TestReset_AsksAtATerminal, and takes nothing but yes for it.
func TestReset_AsksAtATerminal(t *testing.T) {
	t.Parallel()
	o := newOffice(t, databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
	for _, answer := range []string{"no\n", "y\n", "\n"} {
		x := atTerminal(t, o.env, "admin", "reset", "--to", "now")
		x.shows(`Go on\? Type yes: $`)
		x.types(answer)
		if status, n := x.ends(), len(o.partitions()); status != 1 || n != 0 {
			t.Errorf("after %q: exit status %d, %d partitions", answer, status, n)
		}
	}
	x := atTerminal(t, o.env, "admin", "reset", "--to", "now")
	x.shows(`Go on\? Type yes: $`)
	if err := x.cmd.Process.Signal(syscall.SIGINT); err != nil { // what Ctrl-C does: the answer is not waited for
		t.Fatal(err)
	}
	x.shows(`nothing was done`)
	if status, n := x.ends(), len(o.partitions()); status != 1 || n != 0 {
		t.Errorf("after Ctrl-C: exit status %d, %d partitions", status, n)
	}
	x = atTerminal(t, o.env, "admin", "reset", "--to", "now")
	x.shows(`Go on\? Type yes: $`)
	x.types("yes\n")
	if status, n := x.ends(), len(o.partitions()); status != 0 || n != 2 {
		t.Errorf("after yes: exit status %d, %d partitions", status, n)
	}
}

// openTerminal opens both ends of a pseudo terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx") // non-blocking, for its deadline
	t.Cleanup(func() { master.Close() })
	var number, unlock int32
	for request, p := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlock} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(p))); errno != 0 {
			t.Fatal(errno)
		}
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}
