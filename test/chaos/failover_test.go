package chaos

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

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
	for range 5 {
		a.until("a split", func() bool { ok, err := a.backend.churn(emulator.Split); return ok && err == nil })
	}
	a.until("many partitions", func() bool {
		view, err := a.watch.look()
		return err == nil && len(view.Partitions) >= 12
	})
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

// depart lets the replica go that reads most, waits until all that it read is
// published again, and puts another in its place.
func (a *Arena) depart(how string, leave func(*slot)) {
	a.t.Helper()
	var s *slot
	a.until("somebody who reads", func() bool {
		s = slices.MaxFunc(a.up(), func(x, y *slot) int { return len(a.held(x)) - len(a.held(y)) })
		return len(a.held(s)) > 0
	})
	held, at := a.held(s), time.Now()
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
