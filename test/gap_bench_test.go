package test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/test/harness"
)

// BenchmarkGap_ToBeingLiveAgain cuts the connection of a subscriber, lets ten
// changes be published meanwhile, and measures, at the median, how long it takes
// from the message that shows the gap until changes come as they are published
// again. Replica, embedded Spanner, ZeroMQ and settings are the real ones.
func BenchmarkGap_ToBeingLiveAgain(b *testing.B) {
	const changes = 10
	server := embedded(b, emulator.Options{})
	s := newShop(b, server.Addr())
	replica := harness.Serve(b, s.with("SPANCAST_HEARTBEAT", "2s", "SPANCAST_CHECKPOINT_INTERVAL", "1s", "SPANCAST_LEASE", "10s")) // as users have them
	harness.Subscribe(b, []string{replica.Endpoint}, "").Reading()
	proxy := harness.NewProxy(b, 1, 0)
	proxy.To(replica.Endpoint)
	lived := make(chan bool, 1)
	got := make(chan bool, 1000)
	sub, err := subscriber.New(subscriber.Options{Connect: []string{proxy.Endpoint()}, Recover: []string{replica.Recover}, Topics: []string{"Orders/"}, OnLive: func() { lived <- true }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- sub.Run(ctx, func(context.Context, *subscriber.Change) error {
			got <- true
			return nil
		})
	}()
	await := func(what string, from chan bool) {
		b.Helper()
		select {
		case <-from:
		case err := <-ended:
			b.Fatalf("%s: it has ended: %v", what, err)
		case <-time.After(harness.Patience):
			b.Fatalf("%s: %+v", what, sub.Stats())
		}
	}
	await("the start", lived)
	var took []time.Duration
	for i := range b.N {
		s.commit(i%5, "Orders")
		await("a change", got)
		proxy.To("tcp://127.0.0.1:1")
		proxy.Cut()
		for range changes {
			s.commit(i%5, "Orders")
		}
		proxy.To(replica.Endpoint)
		await("being live", lived)
		for range changes {
			await("a change of the gap", got)
		}
		took = append(took, sub.Stats().Took)
	}
	if n := sub.Stats().Gaps; n < uint64(b.N) {
		b.Fatalf("%d gaps in %d rounds", n, b.N)
	}
	cancel()
	<-ended
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms/p95")
	b.ReportMetric(0, "ns/op")
}
