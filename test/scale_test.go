package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// BenchmarkIdle_ThousandPartitions measures what a replica costs that reads a
// thousand partitions in which nothing happens, with the settings that users
// have. The time is not that of an operation: it looks for as long as it takes.
func BenchmarkIdle_ThousandPartitions(b *testing.B) {
	server := embedded(b, emulator.Options{Partitions: 1000})
	s := newShop(b, server.Addr())
	env := s.with("SPANCAST_HEARTBEAT", "2s", "SPANCAST_CHECKPOINT_INTERVAL", "1s", "SPANCAST_CHECKPOINT_LAG", "2s", "SPANCAST_LEASE", "10s",
		"SPANCAST_RESOLVED_INTERVAL", "1s", "SPANCAST_LOG_LEVEL", "info")
	replica := harness.Serve(b, env)
	wait.Until(b, "all partitions are read", func() bool { return server.Queries(s.Name, shopStream) == 1000 })
	pause(b, 15*time.Second) // the beginning is over
	before, began := cpu(b, replica.Pid()), time.Now()
	for range b.N {
		pause(b, 20*time.Second)
	}
	used, passed := cpu(b, replica.Pid())-before, time.Since(began)
	b.ReportMetric(100*used.Seconds()/passed.Seconds(), "%core")
	b.ReportMetric(float64(resident(b, replica.Pid()))/(1<<20), "MiB")
	b.ReportMetric(0, "ns/op")
	owned := 0
	for _, p := range s.partitions() {
		if p.State != changestream.Finished && p.Owner != "" {
			owned++
		}
	}
	if lost := strings.Count(replica.Stderr(), "a lease ran out"); owned != 1000 || lost > 0 {
		b.Errorf("%d partitions are owned, %d leases ran out", owned, lost)
	}
	replica.Stop()
}

// pause lets time pass, for a measure that needs it.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	<-time.After(d)
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
