package telemetry

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spancast/spancast/publisher"
)

// Tracer returns what begins the traces of batches, nil when there are none to be:
// then they cost nothing at all. Which batches are traced, is decided here, as the
// standard variables say: to ask the sampler of OpenTelemetry costs as much as to
// publish a third of a record.
func (t *Telemetry) Tracer() func(first time.Time) publisher.Trace {
	if t.traces == nil {
		return nil
	}
	share := share(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if share <= 0 {
		return nil
	}
	kind := trace.WithSpanKind(trace.SpanKindProducer)
	return func(first time.Time) publisher.Trace {
		if share < 1 && rand.Float64() >= share {
			return nil
		}
		_, span := t.batches.Start(context.Background(), "publish", kind, trace.WithTimestamp(first))
		return &batchTrace{span: span, parent: traceparent(span.SpanContext()), first: first, read: time.Now()}
	}
}

// share is the part of traces without a parent that a sampler takes, as the SDK of
// OpenTelemetry reads its variables.
func share(sampler, argument string) float64 {
	switch strings.TrimPrefix(strings.TrimSpace(strings.ToLower(sampler)), "parentbased_") {
	case "always_off":
		return 0
	case "traceidratio":
		if ratio, err := strconv.ParseFloat(strings.TrimSpace(argument), 64); err == nil && ratio >= 0 && ratio <= 1 {
			return ratio
		}
	}
	return 1
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
