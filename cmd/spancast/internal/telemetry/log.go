package telemetry

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// LogHandler adds the ids of trace and span to what is logged within one, and to
// errors of the store that are logged by others later.
func LogHandler(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	r.Attrs(func(a slog.Attr) bool {
		var e *tracedError
		if err, ok := a.Value.Any().(error); ok && errors.As(err, &e) {
			span = e.span
		}
		return !span.IsValid()
	})
	if span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// A tracedError knows the span in which it happened: whoever retries, logs it, and
// has another context.
type tracedError struct {
	error
	span trace.SpanContext
}

// Unwrap returns the error alone.
func (e *tracedError) Unwrap() error { return e.error }

// traced adds the span of a context to an error, if there are both.
func traced(ctx context.Context, err error) error {
	span := trace.SpanContextFromContext(ctx)
	if err == nil || !span.IsValid() {
		return err
	}
	return &tracedError{err, span}
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
