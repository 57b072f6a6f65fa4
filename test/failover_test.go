package test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// BenchmarkFailover_Kill measures how long a partition is not published when its
// owner is killed: from the kill to the first message of another replica, less
// the lease, which must have run out before.
func BenchmarkFailover_Kill(b *testing.B) { failover(b, syscall.SIGKILL) }

// BenchmarkFailover_Terminate measures the same for SIGTERM, whole.
func BenchmarkFailover_Terminate(b *testing.B) { failover(b, syscall.SIGTERM) }

// failover ends the replica that publishes, b.N times, and starts another in its
// place. The replicas have the intervals that users have, and a lease that is as
// short as these allow.
func failover(b *testing.B, signal syscall.Signal) {
	const lease = 3 * time.Second
	server := embedded(b, emulator.Options{Partitions: 6})
	s := newShop(b, server.Addr())
	dir := b.TempDir()
	var endpoints []string
	for i := range 2 {
		endpoints = append(endpoints, fmt.Sprintf("ipc://%s/%d", dir, i))
	}
	serve := func(i int) *harness.Replica {
		return harness.Serve(b, s.with("SPANCAST_BIND", endpoints[i], "SPANCAST_LEASE", lease.String(), "SPANCAST_HEARTBEAT", "1s",
			"SPANCAST_CHECKPOINT_INTERVAL", "1s", "SPANCAST_CHECKPOINT_LAG", "2s", "SPANCAST_REQUIRE_SUBSCRIBER", "true"))
	}
	replicas := []*harness.Replica{serve(0), serve(1)}
	sub := harness.Subscribe(b, endpoints, "")
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { s.load(rand.New(rand.NewPCG(3, 3)), 5*time.Millisecond, stop) })
	var all []time.Duration
	for range b.N {
		until(b, "both read", func() bool { return s.owned(replicas[0]) == 3 && s.owned(replicas[1]) == 3 })
		var epoch string
		seen := len(sub.Messages())
		sub.Until("changes", func(all []*harness.Message) bool {
			for ; seen < len(all); seen++ {
				if all[seen].Kind == "" {
					epoch = string(all[seen].Header.Epoch)
				}
			}
			return epoch != ""
		})
		i := 0
		if strings.Contains(replicas[1].Stderr(), epoch) {
			i = 1
		}
		at := time.Now()
		replicas[i].Signal(signal)
		var first time.Time
		sub.Until("a change from the other", func(all []*harness.Message) bool {
			for ; seen < len(all); seen++ {
				if m := all[seen]; m.Kind == "" && string(m.Header.Epoch) != epoch {
					first = m.At
					return true
				}
			}
			return false
		})
		all = append(all, first.Sub(at))
		replicas[i].Wait(harness.Patience)
		replicas[i] = serve(i)
	}
	close(stop)
	load.Wait()
	s.all(sub)
	slices.Sort(all)
	less := time.Duration(0)
	if signal == syscall.SIGKILL {
		less = lease
	}
	b.ReportMetric(float64((all[len(all)/2] - less).Milliseconds()), "p50-ms")
	b.ReportMetric(float64((all[(len(all)-1)*99/100] - less).Milliseconds()), "p99-ms")
	b.ReportMetric(float64((all[len(all)-1] - less).Milliseconds()), "max-ms")
	b.ReportMetric(0, "ns/op")
	for _, r := range replicas {
		r.Stop()
	}
}
