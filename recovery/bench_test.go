package recovery_test

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"context"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"

	zmq "github.com/pebbe/zmq4"
)

// benchRecords is how many changes are replayed; SPANCAST_BENCH_RECORDS asks for
// another number.
func benchRecords(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("SPANCAST_BENCH_RECORDS"))
	if err != nil {
		n = 200_000
	}
	return n
}

// BenchmarkReplay compares, in one run and over the same records of an embedded
// Spanner in this process, what a publisher sends to a SUB socket and what the
// recovery endpoint sends to a DEALER socket that grants credit as it reads.
func BenchmarkReplay(b *testing.B) {
	n := benchRecords(b)
	f := newFixture(b, emulator.Options{MaxLogBytes: 4 << 30}, emulator.GoogleSQL,
		"CREATE TABLE L (Id INT64 NOT NULL, A STRING(MAX), B STRING(MAX), C INT64, D TIMESTAMP) PRIMARY KEY (Id)", "CREATE CHANGE STREAM "+testStream+" FOR L")
	f.serve()
	made, err := f.server.Load(context.Background(), emulator.Load{Database: testDatabase, Stream: testStream, Table: "L", Records: n})
	if err != nil || made != n {
		b.Fatal(made, err)
	}
	b.Run("live", func(b *testing.B) {
		for range b.N {
			f.live(b, n)
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "changes/s")
	})
	b.Run("replay", func(b *testing.B) {
		for range b.N {
			f.replayed(b, n)
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "changes/s")
	})
}

// live publishes everything to a subscriber.
func (f *fixture) live(b *testing.B, n int) {
	b.StopTimer()
	p, err := publisher.New(publisher.Options{
		Epoch: testEpoch, Bind: []string{"tcp://127.0.0.1:*"}, SendHWM: 20000, Slow: publisher.SlowBlock, BlockTimeout: time.Minute, MaxBuffer: 256 << 20,
		ResolvedInterval: time.Second, Linger: time.Second, Router: f.opt.Router, NewBody: f.opt.NewBody, Ignore: f.opt.Ignore,
		Resolved: func() (time.Time, time.Time) { return time.Time{}, time.Time{} }, Hello: f.opt.Hello, Log: f.opt.Log,
	})
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- p.Run(ctx) }()
	zctx, err := zmq.NewContext()
	must(b, err)
	sub, err := zctx.NewSocket(zmq.SUB)
	must(b, err)
	must(b, sub.SetSubscribe("L/"))
	must(b, sub.Connect(p.Endpoints()[0]))
	_, err = sub.RecvMessageBytes(0) // the answer to the subscription
	must(b, err)
	stream, err := changestream.New(changestream.Options{
		Info: f.opt.Info, Dial: f.opt.Dial, Replica: changestream.Replica{ID: "live"}, Store: checkpoint.NewMemory(f.server.Now), NewSink: p.Sink, Drained: p.Drained,
		OnGap: p.Gap, OnGapPolicy: changestream.GapStop, Start: func(time.Time) time.Time { return f.began }, QueryWindow: time.Minute, Heartbeat: time.Second,
		CheckpointInterval: time.Second, Lease: 10 * time.Second, DrainTimeout: time.Second, Log: f.opt.Log,
	})
	must(b, err)
	b.StartTimer()
	go func() { ended <- stream.Run(ctx) }()
	for got := 0; got < n; {
		frames := receive(b, sub)
		if topic := string(frames[0]); topic == "L/INSERT/" {
			got++
		}
	}
	b.StopTimer()
	cancel()
	<-ended
	<-ended
	sub.Close()
	zctx.Term()
	b.StartTimer()
}

// receive receives a message as cheaply as the binding allows.
func receive(b *testing.B, z *zmq.Socket) [][]byte {
	var frames [][]byte
	for {
		frame, err := z.RecvBytes(0)
		must(b, err)
		frames = append(frames, frame)
		if more, err := z.GetRcvmore(); err != nil || !more {
			return frames
		}
	}
}

var ids atomic.Int64

// replayed asks for everything, and grants as it reads.
func (f *fixture) replayed(b *testing.B, n int) {
	const window = 10_000
	c := f.client()
	defer c.close()
	id := fmt.Sprint(ids.Add(1))
	c.send(message.CommandReplay, message.ReplayRequest{ID: id, Topics: []string{""}, From: message.FormatTime(f.began), To: message.Now,
		Credit: message.Credit{Messages: window, Bytes: 64 << 20}})
	got, bytes, granted := 0, int64(0), 0
	for {
		frames := receive(b, c.z)
		switch topic := string(frames[1]); topic {
		case "L/INSERT/":
			got++
			for _, frame := range frames {
				bytes += int64(len(frame))
			}
		case message.End:
			if got != n {
				b.Fatalf("%d changes, want %d", got, n)
			}
			return
		case message.Failed, message.Gone:
			b.Fatalf("%s", frames)
		}
		if got-granted >= window/2 {
			c.send(message.CommandCredit, message.CreditRequest{ID: id, Credit: message.Credit{Messages: int64(got - granted), Bytes: bytes}})
			granted, bytes = got, 0
		}
	}
}
