package part

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/topics"
)

// path is Spancast's record path: the stream's own reader, and behind it either
// what makes frames, or the whole publisher with nobody subscribed.
type path struct {
	stream  *changestream.Stream
	pub     *publisher.Publisher // nil: frames only
	records atomic.Uint64
	bytes   atomic.Uint64
}

func newPath(q *Request, socket bool) (_ *path, err error) {
	template, err := topics.ParseTemplate(q.Template)
	if err != nil {
		return nil, err
	}
	router := topics.New("bench", q.Stream, template, nil)
	p, log := &path{}, slog.New(slog.DiscardHandler)
	newSink := func(changestream.Partition) changestream.Sink {
		return &framing{path: p, planner: router.Planner()}
	}
	drained := func(context.Context) error { return nil }
	if socket {
		p.pub, err = publisher.New(publisher.Options{
			Epoch: "0123456789abcdef", Bind: []string{"tcp://127.0.0.1:*"}, SendHWM: 20000, Slow: publisher.SlowBlock, BlockTimeout: time.Minute,
			MaxBuffer: 256 << 20, ResolvedInterval: time.Second, Router: func() *topics.Router { return router },
			NewBody: func() publisher.Body { return publisher.Native{} }, Ignore: func(string) bool { return false },
			Resolved: func() (own, fleet time.Time) { return p.stream.Resolved() }, Hello: func() message.HelloBody { return message.HelloBody{} }, Log: log,
		})
		if err != nil {
			return nil, err
		}
		newSink, drained = p.pub.Sink, p.pub.Drained
	}
	p.stream, err = changestream.New(changestream.Options{
		Info: changestream.Info{Database: q.Database, Stream: q.Stream, Dialect: changestream.GoogleSQL, Retention: 24 * time.Hour},
		Dial: connect.Dialer(q.target()), Replica: changestream.Replica{ID: "bench", Epoch: "0123456789abcdef"}, Store: checkpoint.NewMemory(time.Now),
		NewSink: newSink, Drained: drained, OnGap: func(changestream.Gap) {}, Start: func(time.Time) time.Time { return q.Since }, OnGapPolicy: changestream.GapStop,
		QueryWindow: 2 * time.Minute, Heartbeat: 2 * time.Second, CheckpointInterval: time.Second, CheckpointLag: 2 * time.Second, Lease: time.Minute,
		DrainTimeout: time.Second, Log: log,
	})
	return p, err
}

func (p *path) run(ctx context.Context) error {
	if p.pub == nil {
		return p.stream.Run(ctx)
	}
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	published := make(chan error, 1)
	go func() { published <- p.pub.Run(beside) }()
	err := p.stream.Run(ctx)
	stop()
	if failed := <-published; err == nil {
		err = failed
	}
	return err
}

func (p *path) status(out *Status) {
	out.Messages, out.Bytes = p.records.Load(), p.bytes.Load()
	if p.pub != nil {
		out.Messages, out.Bytes = p.pub.Stats().Messages.Load(), p.pub.Stats().Bytes.Load()
	}
}

// framing makes the three frames of every change, of one partition, and throws
// them away.
type framing struct {
	path    *path
	planner *topics.Planner
	made    publisher.Messages
	change  publisher.Change
	native  publisher.Native
	topic   []byte
	header  []byte
	numbers [3]uint64
	bytes   uint64
}

// Change implements changestream.Sink.
func (f *framing) Change(r *changestream.DataChangeRecord) error {
	f.change.Record = r
	return f.made.Add(&f.change, f.planner, f.native, nil)
}

// MovedIn implements changestream.Sink.
func (f *framing) MovedIn(time.Time, []changestream.PartitionToken) {}

// Flush implements changestream.Sink.
func (f *framing) Flush(_ context.Context, m changestream.Mark) error {
	for i := range f.made.Len() {
		one := f.made.At(i)
		for k := range f.numbers {
			f.numbers[k]++
		}
		f.topic = one.AppendTopic(f.topic[:0])
		f.header = message.AppendHeader(f.header[:0], one.Version, []byte("0123456789abcdef"), f.numbers[:], one.Attributes)
		f.bytes += uint64(len(f.topic) + len(f.header) + len(one.Body))
	}
	f.path.records.Add(uint64(f.made.Len()))
	f.path.bytes.Store(f.bytes)
	f.made.Reset()
	m.Progress.Published(m)
	return nil
}
