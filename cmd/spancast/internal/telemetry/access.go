package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/spancast/spancast/access"
)

// accessCounters are those of a gate.
func accessCounters(s *access.Stats) map[string]func() int64 {
	return map[string]func() int64{ConnectionsIn: signed(&s.Welcome), HandshakesDropped: signed(&s.Dropped), SessionsEnded: signed(&s.Evictions)}
}

// refused counts refusals by their reason.
func (t *Telemetry) refused(s *access.Stats) error {
	i := instrument(ConnectionsRefused)
	_, err := t.meter.Int64ObservableCounter(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Desc),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for reason, n := range s.RefusedFor() {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("reason", reason.String())))
			}
			return nil
		}))
	return err
}
