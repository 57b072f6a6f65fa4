package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/spancast/spancast/changestream"
)

// A Store is a changestream.Store that measures another one, and remembers what
// was read last, for all who only want to look.
type Store struct {
	of    changestream.Store
	t     *Telemetry
	view  atomic.Pointer[changestream.View]
	seen  atomic.Int64 // when view was read, Unix nanoseconds
	began atomic.Int64 // when anything was last asked, Unix nanoseconds
	fault atomic.Pointer[error]
}

// Store wraps a store.
func (t *Telemetry) Store(of changestream.Store) *Store { return &Store{of: of, t: t} }

// View implements changestream.Store.
func (s *Store) View(ctx context.Context) (changestream.View, error) {
	ctx, end := s.begin(ctx, "lease view", s.t.views)
	view, err := s.of.View(ctx)
	end(err)
	s.fault.Store(&err)
	if err == nil {
		s.view.Store(&view)
		s.seen.Store(time.Now().UnixNano())
	}
	return view, traced(ctx, err)
}

// Present implements changestream.Store. It is not measured, and no sign of life:
// what asks is not the loop that the watchdog looks after.
func (s *Store) Present(ctx context.Context) ([]string, error) { return s.of.Present(ctx) }

// Commit implements changestream.Store.
func (s *Store) Commit(ctx context.Context, c changestream.Commit) (changestream.Result, error) {
	ctx, end := s.begin(ctx, "checkpoint", s.t.commits, attribute.Int("spancast.updates", len(c.Updates)), attribute.Int("spancast.takes", len(c.Takes)))
	result, err := s.of.Commit(ctx, c)
	end(err)
	return result, traced(ctx, err)
}

// begin starts to measure a call, and returns what ends that.
func (s *Store) begin(ctx context.Context, name string, in metric.Float64Histogram, about ...attribute.KeyValue) (context.Context, func(error)) {
	began := time.Now()
	s.began.Store(began.UnixNano())
	ctx, span := s.t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(about...))
	return ctx, func(err error) {
		in.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(result(err)))
		if err != nil {
			span.SetStatus(codes.Error, "failed") // the text may hold values of rows
		}
		span.End()
	}
}

// Latest is what was read last, and when; zero before the first time. It is
// shared: nobody may change it.
func (s *Store) Latest() (view changestream.View, at time.Time) {
	v := s.view.Load()
	if v == nil {
		return view, at
	}
	return *v, time.Unix(0, s.seen.Load())
}

// Asked is when the store was last asked anything.
func (s *Store) Asked() time.Time { return time.Unix(0, s.began.Load()) }

// Err is why the latest reading failed, if it did.
func (s *Store) Err() error {
	if e := s.fault.Load(); e != nil {
		return *e
	}
	return nil
}
