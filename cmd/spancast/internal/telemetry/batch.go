package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spancast/spancast/publisher"
)

// Tracer returns what begins the traces of batches, nil when nobody asked for
// traces: then they cost nothing at all.
func (t *Telemetry) Tracer() func(first time.Time) publisher.Trace {
	if t.traces == nil {
		return nil
	}
	kind := trace.WithSpanKind(trace.SpanKindProducer)
	return func(first time.Time) publisher.Trace {
		_, span := t.tracer.Start(context.Background(), "publish", kind, trace.WithTimestamp(first))
		if !span.SpanContext().IsSampled() {
			return nil
		}
		return &batchTrace{span: span, parent: traceparent(span.SpanContext()), first: first, read: time.Now()}
	}
}

// A batchTrace is a span from the commit of a batch's first change until its last
// was handed to the socket, and one within, poll, until the first was read.
type batchTrace struct {
	span        trace.Span
	parent      string
	first, read time.Time
}

// Parent implements publisher.Trace.
func (b *batchTrace) Parent() string { return b.parent }

// traceparent is a span as W3C Trace Context writes it.
func traceparent(s trace.SpanContext) string {
	return "00-" + s.TraceID().String() + "-" + s.SpanID().String() + "-" + s.TraceFlags().String()
}

// end ends the spans. Ctx holds the outer one.
func (b *batchTrace) end(ctx context.Context, tracer trace.Tracer, messages int, now time.Time) {
	_, poll := tracer.Start(ctx, "poll", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(b.first))
	poll.End(trace.WithTimestamp(b.read))
	b.span.SetAttributes(attribute.String("messaging.system", "zeromq"), attribute.String("messaging.operation.name", "publish"),
		attribute.String("messaging.operation.type", "send"), attribute.Int("messaging.batch.message_count", messages))
	b.span.End(trace.WithTimestamp(now))
}
