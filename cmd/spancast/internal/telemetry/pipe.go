package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/publisher"
)

// sampleEvery is how long a histogram of the pipe rests after a value: under load
// there are tens of thousands of batches a second, and a thousand of them say as
// much.
const sampleEvery = time.Millisecond

// Published measures a batch that was handed to the socket: when, how many
// messages, the commit timestamp of the last, and the trace that Tracer began, nil
// if there is none. It is for one goroutine.
func (t *Telemetry) Published(now time.Time, messages int, last time.Time, of publisher.Trace) {
	traced, _ := of.(*batchTrace)
	if traced == nil && now.Sub(t.published) < sampleEvery {
		return
	}
	t.published = now
	ctx := context.Background()
	if traced != nil {
		ctx = trace.ContextWithSpan(ctx, traced.span)
		traced.end(ctx, t.batches, messages, now)
	}
	t.publishLag.Record(ctx, max(0, now.Sub(last).Seconds()))
}

// Sink measures how old what arrives is. It costs a record nothing but a call.
func (t *Telemetry) Sink(of func(changestream.Partition) changestream.Sink) func(changestream.Partition) changestream.Sink {
	return func(p changestream.Partition) changestream.Sink { return &sink{Sink: of(p), t: t} }
}

type sink struct {
	changestream.Sink
	t    *Telemetry
	last time.Time // of a value
	rest int       // calls until the clock is looked at again
}

// maxRest is for how many calls the clock is left alone when they come quickly: a
// look costs as much as all else that is done here.
const maxRest = 3

// Flush implements changestream.Sink.
func (s *sink) Flush(ctx context.Context, m changestream.Mark) error {
	if s.rest > 0 {
		s.rest--
		return s.Sink.Flush(ctx, m)
	}
	if now := time.Now(); now.Sub(s.last) >= sampleEvery {
		s.last = now
		s.t.readLag.Record(context.Background(), max(0, now.Sub(m.Position).Seconds()))
	} else {
		s.rest = maxRest
	}
	return s.Sink.Flush(ctx, m)
}
