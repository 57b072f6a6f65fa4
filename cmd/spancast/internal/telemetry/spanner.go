package telemetry

import (
	"cloud.google.com/go/spanner"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Spanner is where clients of Spanner put what they measure of themselves:
// operations, attempts and latencies, by method and status.
func (t *Telemetry) Spanner() metric.MeterProvider { return t.spanner }

// maxSpannerSeries bounds the combinations of labels of one of their instruments.
const maxSpannerSeries = 200

// spannerOptions are those that the client asks for, and a view that leaves out
// the attributes which are new with every start, and says latencies more coarsely:
// 14 buckets instead of 50.
func spannerOptions() []sdkmetric.Option {
	few := func(kv attribute.KeyValue) bool {
		return kv.Key == "method" || kv.Key == "status" || kv.Key == "database"
	}
	plain := sdkmetric.NewView(sdkmetric.Instrument{Name: "spanner/client/*_count"}, sdkmetric.Stream{AttributeFilter: few})
	latencies := sdkmetric.NewView(sdkmetric.Instrument{Name: "spanner/client/*_latencies"}, sdkmetric.Stream{AttributeFilter: few,
		Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: []float64{1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000}}})
	return append(spanner.ClientMetricsMeterProviderOptions(), sdkmetric.WithView(plain, latencies), sdkmetric.WithCardinalityLimit(maxSpannerSeries))
}
