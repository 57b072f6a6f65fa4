package publisher

import (
	"context"
	"testing"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
)

// BenchmarkStalled: fifty subscribers that read, alone and beside one that has
// stopped reading, as fast as the slowest of them reads. It fails when one of
// the fifty loses a message.
func BenchmarkStalled(b *testing.B) {
	for _, stalled := range []bool{false, true} {
		name := "50 read"
		if stalled {
			name = "50 read, one stalled"
		}
		b.Run(name, func(b *testing.B) { benchStalled(b, stalled) })
	}
}

func benchStalled(b *testing.B, stalled bool) {
	p := start(b, func(o *Options) { o.SendHWM, o.MaxBuffer = 2000, 16<<20 })
	at := p.Endpoints()[0]
	if stalled {
		subscribeSlow(b, p.Bound("")[0], "Users/")
	}
	var drains []*drain
	for range 50 {
		drains = append(drains, newDrain(b, access.Bound{Endpoint: at}, access.SecretKey{}))
	}
	sink, rec := p.Sink(changestream.Partition{}), kilobyte(0)
	publish := func() {
		check(b, sink.Change(rec))
		check(b, sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime}))
	}
	reach := func() bool { // everybody is subscribed who reads
		publish()
		for _, d := range drains {
			if d.n.Load() == 0 {
				return false
			}
		}
		return true
	}
	waitFor(b, "everybody to subscribe", reach)
	before := make([]int64, len(drains))
	quiet := func() {
		check(b, p.Drained(context.Background()))
		since := time.Now()
		waitFor(b, "quiet", func() bool {
			for i, d := range drains {
				if n := d.n.Load(); n != before[i] {
					before[i], since = n, time.Now()
				}
			}
			return time.Since(since) > time.Second
		})
	}
	have := func(n int) func() bool {
		return func() bool {
			for i, d := range drains {
				if d.n.Load()-before[i] < int64(n) {
					return false
				}
			}
			return true
		}
	}
	pace := func(i int) { // as fast as the slowest of them reads, half a queue ahead
		waitFor(b, "who reads", have(i*benchMods-1000))
		publish()
	}
	quiet()
	for i := 0; stalled && p.Stats().Slow.Load() == 0; i++ { // until its queue is full
		pace(i)
	}
	quiet()
	drops := p.Stats().Slow.Load()
	began := cpu()
	b.ResetTimer()
	for i := range b.N {
		pace(i)
	}
	waitFor(b, "all messages at everybody who reads", have(b.N*benchMods))
	report(b, len(drains), began)
	b.ReportMetric(float64(p.Stats().Slow.Load()-drops), "drops")
	p.stop()
}
