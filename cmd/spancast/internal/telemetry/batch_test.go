package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// TestTracer_SamplesAsTheVariablesSay: all batches unless told otherwise, none, or
// about as many as were asked for.
func TestTracer_SamplesAsTheVariablesSay(t *testing.T) {
	for _, c := range []struct {
		sampler, argument string
		least, most       int // of 10,000
	}{
		{"", "", 10_000, 10_000}, {"always_on", "0", 10_000, 10_000}, {"parentbased_always_on", "", 10_000, 10_000},
		{"always_off", "", 0, 0}, {"parentbased_always_off", "1", 0, 0}, {"traceidratio", "0", 0, 0},
		{"traceidratio", "0.5", 4500, 5500}, {"parentbased_traceidratio", " 0.01 ", 40, 180}, {"traceidratio", "x", 10_000, 10_000},
	} {
		t.Run(fmt.Sprint(c.sampler, " ", c.argument), func(t *testing.T) {
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv("OTEL_METRICS_EXPORTER", "none")
			t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.argument)
			tel, err := Open(t.Context(), Options{Service: "test", Log: slog.New(slog.DiscardHandler)})
			check(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // nobody listens for what is left
			defer tel.Close(ctx)
			sampled, begin := 0, tel.Tracer()
			for range 10_000 {
				if begin == nil {
					break
				}
				if trace := begin(time.Now()); trace != nil {
					sampled++
					if p := trace.Parent(); len(p) != 55 || p[52:] != "-01" {
						t.Fatalf("traceparent %q", p)
					}
				}
			}
			if sampled < c.least || sampled > c.most {
				t.Errorf("%d of 10,000", sampled)
			}
		})
	}
}
