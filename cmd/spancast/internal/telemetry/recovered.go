package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/spancast/spancast/recovery"
)

// Recovered counts a replay or snapshot that has ended, and leaves a span that is
// as long as it was; it is in the context that is returned, for the log.
func (t *Telemetry) Recovered(e recovery.Ended) context.Context {
	reason := attribute.String("reason", e.Reason)
	ctx, span := t.tracer.Start(context.Background(), "recovery", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(e.Since), trace.WithAttributes(
		reason, attribute.String("spancast.recovery.kind", string(e.Kind)), attribute.Int64("messaging.batch.message_count", int64(e.Changes))))
	defer span.End()
	t.recoveries.Add(ctx, 1, metric.WithAttributes(reason))
	return ctx
}
