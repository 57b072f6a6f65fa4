package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memory is a line of what the kernel knows of a process's memory, in bytes:
// VmRSS is what is resident, VmHWM the most that ever was.
func memory(t testing.TB, pid int, line string) int64 {
	t.Helper()
	n := memoryOf(pid, line)
	switch {
	case memoryOf(os.Getpid(), line) == 0:
		t.Skip("needs /proc")
	case n == 0:
		t.Fatalf("process %d has ended", pid)
	}
	return n
}

// memoryOf is memory of a process that may have ended; then it is 0.
func memoryOf(pid int, line string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), line+":")
	rest, _, _ = strings.Cut(rest, " kB")
	kb, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
	return kb << 10
}

// cpu is the processor time that a process has used.
func cpu(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // of USER_HZ, which is 100 on Linux
}
