package chaos

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// TestFailover_TakesNoLongerThanTheLease is make failover: how long partitions
// are not published after kill -9 of their owner, and after SIGTERM. FAILOVER is
// the number of each.
func TestFailover_TakesNoLongerThanTheLease(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("FAILOVER"))
	if err != nil {
		t.Skip("FAILOVER says how many times; make failover sets it")
	}
	o := settings(t)
	o.Lease, o.Lag, o.Pause = 3*time.Second, 2*time.Second, 10*time.Millisecond
	o.Env = map[string]string{"SPANCAST_CHECKPOINT_INTERVAL": "1s", "SPANCAST_HEARTBEAT": "1s", "SPANCAST_QUERY_WINDOW": "2m"} // as users have them, but for the lease
	a := NewArena(t, o)
	a.atLeast(3)
	a.begin(o.Seed)
	a.until("some load", func() bool { return a.load.number.Load() > 500 })
	for range partitionsOfFailover - 1 {
		a.until("a split", func() bool { ok, err := a.backend.churn(emulator.Split); return ok && err == nil })
	}
	for range n {
		a.depart("kill -9", func(s *slot) { s.kill() })
		a.depart("SIGTERM", func(s *slot) {
			s.process.Stop()
			s.pub.Point("")
			s.running = nil
		})
	}
	a.settle()
	a.judge()
	t.Log(a.summary())
	for how, want := range map[string]time.Duration{"kill -9": o.Lease + time.Second, "SIGTERM": 500 * time.Millisecond} {
		if all := a.report.worst[how]; percentile(all, 0.99) > want {
			t.Errorf("%s: the last partition was published again after %s at the 99th percentile, want %s; median %s", how, percentile(all, 0.99), want, percentile(all, 0.5))
		} else {
			t.Logf("%s: the last partition was published again after %s at the 99th percentile of %d, median %s", how, percentile(all, 0.99), len(all), percentile(all, 0.5))
		}
	}
}

// partitionsOfFailover is how many partitions there are where rows are.
const partitionsOfFailover = 6

// depart lets the replica go that publishes most, waits until all that it read is
// published again, and puts another in its place.
func (a *Arena) depart(how string, leave func(*slot)) {
	a.t.Helper()
	var s *slot
	var held []changestream.Partition
	a.until("everything to be published as it is committed", func() bool {
		held = nil
		for _, x := range a.up() {
			if mine := a.published(x); len(mine) > len(held) {
				s, held = x, mine
			}
		}
		return len(held) > 0 && len(a.load.pending(a.sub.has)) < 50
	})
	at := time.Now()
	leave(s)
	var last time.Duration
	a.until("all partitions to be published again", func() bool {
		last = 0
		for _, p := range held {
			first, ok := a.republished(p.Token.Short(), p.Epoch)
			if !ok {
				return false
			}
			last = max(last, first.Sub(at))
		}
		return true
	})
	a.report.worst[how] = append(a.report.worst[how], last)
	a.report.events[how]++
	a.atLeast(3)
}

// published lists the partitions that a replica has and has published.
func (a *Arena) published(s *slot) []changestream.Partition {
	return slices.DeleteFunc(a.held(s), func(p changestream.Partition) bool {
		_, ok := s.journal.published(p.Token.Short(), p.Epoch-1)
		return !ok
	})
}
