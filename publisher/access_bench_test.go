package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/harness"
)

// The benchmarks of access, each beside bare libzmq in the same run: what CURVE
// costs, and what audiences cost. A message has 1 KB, in three frames; the
// receiver is the same for both.

const benchMods = 100 // messages of a batch

func kilobyte(i int) *changestream.DataChangeRecord {
	rec := record(changestream.ModUpdate, i, benchMods)
	for m := range rec.Mods {
		rec.Mods[m].NewValues = []byte(`{"email":"` + strings.Repeat("x", 760) + `"}`)
	}
	return rec
}

// A drain receives messages of one topic at one endpoint and counts them.
type drain struct {
	n    atomic.Int64
	stop chan struct{}
	done chan struct{}
}

func newDrain(b *testing.B, at access.Bound, key access.SecretKey) *drain {
	b.Helper()
	z := harness.Socket(b, zmq.SUB)
	check(b, errors.Join(z.SetRcvhwm(20000), z.SetRcvtimeo(50*time.Millisecond), z.SetSubscribe("Users/UPDATE/")))
	if !key.IsZero() {
		check(b, access.SecureClient(z, key, at.Key))
	}
	check(b, z.Connect(at.Endpoint))
	d := &drain{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		for {
			topic, err := z.RecvBytes(0)
			if err == nil && string(topic) == "Users/UPDATE/" {
				d.n.Add(1)
			}
			for more, _ := z.GetRcvmore(); more && err == nil; more, _ = z.GetRcvmore() {
				_, err = z.RecvBytes(0)
			}
			select {
			case <-d.stop:
				return
			default:
			}
		}
	}()
	b.Cleanup(func() { close(d.stop); <-d.done })
	return d
}

func waitAll(b *testing.B, drains []*drain, n int64) {
	b.Helper()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for end := time.Now().Add(testPatience); ; <-tick.C {
		slowest := n
		for _, d := range drains {
			slowest = min(slowest, d.n.Load())
		}
		if slowest >= n {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("%d of %d messages came", slowest, n)
		}
	}
}

// benchPublisher publishes b.N batches and waits until all drains have them.
func benchPublisher(b *testing.B, p *running, drains []*drain) {
	waitFor(b, "subscriptions", func() bool { return p.Stats().Subscriptions.Load() >= int64(len(drains)) })
	sink, rec := p.Sink(changestream.Partition{}), kilobyte(0)
	began := cpu()
	b.ResetTimer()
	for range b.N {
		check(b, sink.Change(rec))
		check(b, sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime}))
	}
	waitAll(b, drains, int64(b.N*benchMods))
	report(b, len(drains), began)
}

// cpu is the processor time of this process so far, sockets' threads and
// receivers included.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report reports what b.N batches took. On a machine that has other work the
// processor time is what can be compared.
func report(b *testing.B, sockets int, began time.Duration) {
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(b.N*benchMods), "cpu-ns/msg")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchMods), "ns/msg")
	b.ReportMetric(float64(b.N*benchMods*sockets)/b.Elapsed().Seconds(), "deliveries/s")
}

// patient waits for slow receivers, so that nothing is lost.
func patient(o *Options) {
	o.Slow, o.BlockTimeout, o.MaxBuffer, o.ResolvedInterval = SlowBlock, testPatience, 16<<20, time.Second
}

// benchBare sends the same frames through bare sockets.
func benchBare(b *testing.B, sockets int, key, client access.SecretKey) {
	policy, err := access.ParsePolicy([]byte(identities(map[string]access.SecretKey{"alice": client})))
	check(b, err)
	g := access.NewGate(access.NewBook(policy, time.Now), []access.SecretKey{key}, 100, discard)
	ctx, err := zmq.NewContext()
	check(b, err)
	guard, err := g.Guard(ctx)
	check(b, err)
	var all []*zmq.Socket
	var drains []*drain
	for range sockets {
		z, err := ctx.NewSocket(zmq.XPUB)
		check(b, err)
		check(b, errors.Join(z.SetSndhwm(20000), z.SetXpubNodrop(true), z.SetLinger(0)))
		if !key.IsZero() {
			check(b, access.Secure(z, key, access.AudienceDomain(access.Everyone)))
		}
		check(b, z.Bind("tcp://127.0.0.1:*"))
		endpoint, err := z.GetLastEndpoint()
		check(b, err)
		all = append(all, z)
		drains = append(drains, newDrain(b, access.Bound{Endpoint: strings.TrimRight(endpoint, "\x00"), Key: key.Public()}, client))
		_, err = z.RecvBytes(0) // the subscription
		check(b, err)
	}
	body := []byte(`{"keys":{"id":"0"},"new_values":` + string(kilobyte(0).Mods[0].NewValues) + `,"old_values":{}}`)
	header := []byte(`2026-11-20T09:54:00.123456000Z/NTQ5MTAx/00000000/3 00112233445566ff 1000/1000/1000 {"table":"Users","op":"UPDATE","capture":"OLD_AND_NEW_VALUES","schema":"00112233aabbccdd","records":2,"partitions":1,"last":true}`)
	topic := []byte("Users/UPDATE/")
	began := cpu()
	b.ResetTimer()
	for range b.N * benchMods {
		for _, z := range all {
			_, err1 := z.SendBytes(topic, zmq.SNDMORE)
			_, err2 := z.SendBytes(header, zmq.SNDMORE)
			_, err3 := z.SendBytes(body, 0)
			check(b, errors.Join(err1, err2, err3))
		}
	}
	waitAll(b, drains, int64(b.N*benchMods))
	report(b, sockets, began)
	b.StopTimer()
	for _, z := range all {
		z.Close()
	}
	guard.Close()
}

// BenchmarkCurve: one subscriber with CURVE.
func BenchmarkCurve(b *testing.B) {
	b.Run("libzmq", func(b *testing.B) { benchBare(b, 1, newKey(b), newKey(b)) })
	b.Run("spancast", func(b *testing.B) {
		alice := newKey(b)
		p, _ := gated(b, identities(map[string]access.SecretKey{"alice": alice}), patient)
		benchPublisher(b, p, []*drain{newDrain(b, bound(p, access.Everyone), alice)})
		p.stop()
	})
}

// BenchmarkAudiences: five audiences with one subscriber each, without CURVE.
func BenchmarkAudiences(b *testing.B) {
	b.Run("libzmq/5", func(b *testing.B) { benchBare(b, 5, access.SecretKey{}, access.SecretKey{}) })
	b.Run("spancast/5", func(b *testing.B) {
		p := start(b, func(o *Options) {
			patient(o)
			for i := range 5 {
				o.Audiences = append(o.Audiences, Audience{Name: fmt.Sprint("a", i), Topics: []string{"Users/"}, Bind: o.Bind})
			}
		})
		var drains []*drain
		for i := range 5 {
			drains = append(drains, newDrain(b, bound(p, fmt.Sprint("a", i)), access.SecretKey{}))
		}
		benchPublisher(b, p, drains)
		p.stop()
	})
	b.Run("spancast/nobody", func(b *testing.B) {
		p := start(b, func(o *Options) {
			patient(o)
			o.Audiences = []Audience{{Name: "a", Topics: []string{"Orders/"}, Bind: o.Bind}}
		})
		benchPublisher(b, p, nil)
		p.stop()
	})
}

// BenchmarkConnect: a thousand clients with CURVE connect and are let in, while
// changes are published one by one; how long the slowest of those took, and how
// long it took in the second before.
func BenchmarkConnect(b *testing.B) {
	const clients, each = 1000, 250
	for range b.N {
		alice := newKey(b)
		p, g := gated(b, identities(map[string]access.SecretKey{"alice": alice}), patient)
		at := bound(p, access.Everyone)
		var sockets []*zmq.Socket
		var contexts []*zmq.Context
		for i := range clients {
			if i%each == 0 {
				ctx, err := zmq.NewContext()
				check(b, err)
				contexts = append(contexts, ctx)
			}
			z, err := contexts[len(contexts)-1].NewSocket(zmq.SUB)
			check(b, err)
			check(b, errors.Join(z.SetLinger(0), z.SetSubscribe(fmt.Sprintf("T%d/", i%50)), access.SecureClient(z, alice, at.Key)))
			sockets = append(sockets, z)
		}
		alone, cancel := context.WithTimeout(context.Background(), time.Second)
		b.ReportMetric(float64(publishOneByOne(alone, p).Microseconds())/1000, "ms-slowest-alone")
		cancel()
		ctx, cancel := context.WithCancel(context.Background())
		slowest := make(chan time.Duration)
		go func() { slowest <- publishOneByOne(ctx, p) }()
		began := time.Now()
		for _, z := range sockets {
			check(b, z.Connect(at.Endpoint))
		}
		waitFor(b, "all to be let in", func() bool { return g.Stats().Welcome.Load() >= clients })
		took := time.Since(began)
		cancel()
		b.ReportMetric(took.Seconds(), "s/1000clients")
		b.ReportMetric(float64((<-slowest).Microseconds())/1000, "ms-slowest-publish")
		for _, z := range sockets {
			z.Close()
		}
		for _, c := range contexts {
			c.Term()
		}
		p.stop()
	}
}

// publishOneByOne publishes a change, waits until it was handed to the socket,
// and so on, until ctx is done. It returns the longest wait.
func publishOneByOne(ctx context.Context, p *running) (slowest time.Duration) {
	sink, rec := p.Sink(changestream.Partition{}), record(changestream.ModUpdate, 0, 1)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		began := time.Now()
		if sink.Change(rec) != nil || sink.Flush(ctx, changestream.Mark{Progress: leased(), Position: commitTime}) != nil || p.Drained(ctx) != nil {
			return slowest
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}
