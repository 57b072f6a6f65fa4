// Package telemetry is what Spancast tells of itself to machines: metrics, always
// at /metrics, and metrics and traces by OTLP when the standard variables of
// OpenTelemetry ask for it.
//
// Metrics cost the record path nothing: counters are read from atomics when
// somebody asks, and histograms get one value a millisecond at most.
//
// Duties of the caller: Open, then Observe once with where the numbers come from,
// and Close last of all, so that the end is told as well.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const scope = "github.com/spancast/spancast"

// Options of Telemetry.
type Options struct {
	Service  string // name of the service, unless OTEL_SERVICE_NAME says otherwise
	Instance string // who tells: the replica's id
	Version  string
	Log      *slog.Logger
}

// Telemetry gathers metrics and spans of one process.
type Telemetry struct {
	registry *prometheus.Registry
	metrics  *sdkmetric.MeterProvider
	spanner  *sdkmetric.MeterProvider // of Spanner's client alone, as that wants it
	traces   *sdktrace.TracerProvider // nil unless asked for
	tracer   trace.Tracer
	batches  trace.Tracer // of batches that were chosen to be traced
	meter    metric.Meter
	log      *slog.Logger

	publishLag, readLag, commits, views metric.Float64Histogram
	reloads, recoveries                 metric.Int64Counter
	published                           time.Time // when publishLag got a value; the publisher's
}

// Open starts telemetry. What the standard variables name need not answer.
func Open(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{registry: prometheus.NewRegistry(), log: o.Log, tracer: noop.NewTracerProvider().Tracer(scope), batches: noop.NewTracerProvider().Tracer(scope)}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	who, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Instance),
	), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("describe this process to OpenTelemetry: %w", err)
	}
	if err := t.openMetrics(ctx, who); err != nil {
		return nil, err
	}
	if asked("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %w", err)
		}
		batcher := sdktrace.NewBatchSpanProcessor(exporter)
		t.traces = sdktrace.NewTracerProvider(sdktrace.WithResource(who), sdktrace.WithSpanProcessor(batcher))
		t.tracer = t.traces.Tracer(scope)
		t.batches = sdktrace.NewTracerProvider(sdktrace.WithResource(who), sdktrace.WithSpanProcessor(batcher), sdktrace.WithSampler(sdktrace.AlwaysSample())).Tracer(scope)
	}
	return t, t.instruments()
}

func (t *Telemetry) openMetrics(ctx context.Context, who *resource.Resource) (err error) {
	if t.metrics, err = t.provider(ctx, who); err != nil {
		return err
	}
	t.meter = t.metrics.Meter(scope)
	t.spanner, err = t.provider(ctx, who, spannerOptions()...)
	return err
}

// provider makes a provider that is seen at /metrics, and sent where the standard
// variables say.
func (t *Telemetry) provider(ctx context.Context, who *resource.Resource, options ...sdkmetric.Option) (*sdkmetric.MeterProvider, error) {
	options = append(options, sdkmetric.WithResource(who))
	reader, err := t.prometheus()
	if err != nil {
		return nil, err
	}
	options = append(options, sdkmetric.WithReader(reader))
	if asked("METRICS") && os.Getenv("OTEL_METRICS_EXPORTER") != "prometheus" { // which is there anyway
		push, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("OTEL_METRICS_EXPORTER: %w", err)
		}
		options = append(options, sdkmetric.WithReader(push))
	}
	return sdkmetric.NewMeterProvider(options...), nil
}

// prometheus makes a reader that shows in the registry.
func (t *Telemetry) prometheus() (sdkmetric.Reader, error) {
	reader, err := otelprom.New(otelprom.WithRegisterer(t.registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo(),
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return nil, fmt.Errorf("prepare /metrics: %w", err)
	}
	return reader, nil
}

// asked tells whether the standard variables want a signal to be sent somewhere.
func asked(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	switch exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	default:
		return exporter != "none"
	}
}

// instruments makes those that are not read from counters.
func (t *Telemetry) instruments() error {
	var faults []error
	made := make(map[string]metric.Float64Histogram)
	for _, i := range Instruments() {
		if i.Kind != Histogram {
			continue
		}
		buckets := durationBuckets()
		if strings.HasSuffix(i.Name, ".lag") {
			buckets = lagBuckets()
		}
		h, err := t.meter.Float64Histogram(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Desc), metric.WithExplicitBucketBoundaries(buckets...))
		made[i.Name], faults = h, append(faults, err)
	}
	t.publishLag, t.readLag, t.commits, t.views = made[PublishLag], made[ReadLag], made[CheckpointDuration], made[StoreReadDuration]
	for name, to := range map[string]*metric.Int64Counter{ConfigReloads: &t.reloads, RecoveryEnded: &t.recoveries} {
		i := instrument(name)
		c, err := t.meter.Int64Counter(name, metric.WithUnit(i.Unit), metric.WithDescription(i.Desc))
		*to, faults = c, append(faults, err)
	}
	if len(faults) == 0 || errors.Join(faults...) == nil { // an increase is seen only of a series that is there before it
		for _, err := range []error{nil, errors.New("any")} {
			t.reloads.Add(context.Background(), 0, metric.WithAttributes(result(err)))
		}
	}
	return errors.Join(faults...)
}

// Handler answers /metrics, in OpenMetrics with exemplars for who asks for it.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// Reloaded counts a configuration file that changed.
func (t *Telemetry) Reloaded(err error) {
	t.reloads.Add(context.Background(), 1, metric.WithAttributes(result(err)))
}

func result(err error) attribute.KeyValue {
	if err != nil {
		return attribute.String("result", "error")
	}
	return attribute.String("result", "ok")
}

// Close sends what was not sent yet.
func (t *Telemetry) Close(ctx context.Context) error {
	var faults []error
	if t.traces != nil {
		faults = append(faults, t.traces.Shutdown(ctx))
	}
	return errors.Join(append(faults, t.metrics.Shutdown(ctx), t.spanner.Shutdown(ctx))...)
}
