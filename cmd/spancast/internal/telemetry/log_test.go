package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/spancast/spancast/changestream"
)

var errStore = errors.New("the store is away")

// absent is a store that is not there.
type absent struct{ changestream.Store }

func (absent) View(context.Context) (changestream.View, error) { return changestream.View{}, errStore }

func (absent) Commit(context.Context, changestream.Commit) (changestream.Result, error) {
	return changestream.Result{}, errStore
}

// TestLog_HasTheTraceOfWhatFailed: an error of the metadata tables is logged by
// the loop that tries again, with the ids of the span in which it happened; a
// span's own context has the same effect, and without traces there are no ids.
func TestLog_HasTheTraceOfWhatFailed(t *testing.T) {
	tel, err := Open(t.Context(), Options{Service: "test", Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	defer tel.Close(context.WithoutCancel(t.Context()))
	var out bytes.Buffer
	log := slog.New(LogHandler(slog.NewJSONHandler(&out, nil)))
	line := func() (ids struct {
		Trace string `json:"trace_id"`
		Span  string `json:"span_id"`
	}) {
		t.Helper()
		check(t, json.Unmarshal(out.Bytes(), &ids))
		out.Reset()
		return ids
	}
	fail := func() error {
		_, err := tel.Store(absent{}).Commit(t.Context(), changestream.Commit{})
		if !errors.Is(err, errStore) || err.Error() != errStore.Error() {
			t.Fatal(err)
		}
		return err
	}
	log.Warn("tried in vain", "error", fail())
	if ids := line(); ids.Trace != "" || ids.Span != "" {
		t.Errorf("%+v, though nobody asked for traces", ids)
	}
	tel.traces = sdktrace.NewTracerProvider()
	tel.tracer = tel.traces.Tracer(scope)
	log.Warn("tried in vain", "attempt", 3, "error", fmt.Errorf("checkpoint: %w", fail()))
	if ids := line(); len(ids.Trace) != 32 || len(ids.Span) != 16 {
		t.Errorf("%+v", ids)
	}
	ctx, span := tel.tracer.Start(t.Context(), "x")
	log.InfoContext(ctx, "done")
	if ids := line(); ids.Trace != span.SpanContext().TraceID().String() {
		t.Errorf("%+v, want %s", ids, span.SpanContext().TraceID())
	}
}
