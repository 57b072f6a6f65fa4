package telemetry

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/recovery"
)

// maxTopics bounds the topics that metrics tell apart.
const maxTopics = 50

// Sources are where the numbers come from. All are asked whenever somebody looks
// at the metrics, so none may wait.
type Sources struct {
	Stream    *changestream.Stats
	Publisher *publisher.Stats
	Recovery  *recovery.Stats // of none: zeros
	Access    *access.Stats   // of none: zeros
	Survey    func() publisher.Survey
	Resolved  func() (own, fleet time.Time)
	Owned     func() int
	Replicas  func() int
	View      func() changestream.View
	Ready     func() bool
	Retention time.Duration // of the change stream
	MaxBuffer int64
	Version   string
}

// A gauge is a number that is read when somebody looks; known is false while
// there is none.
type gauge func() (value float64, known bool)

// Observe makes the numbers of src visible.
func (t *Telemetry) Observe(src Sources) error {
	for _, reason := range recovery.Reasons() { // they show from the beginning
		t.recoveries.Add(context.Background(), 0, metric.WithAttributes(attribute.String("reason", reason)))
	}
	return errors.Join(t.labelled(src), t.refused(src.Access), t.observe(src.counters(), src.gauges()))
}

// Forwarder are the numbers of a forwarder.
type Forwarder struct {
	Messages, Bytes, Subscriptions func() int64
	Ready                          func() bool
	Access                         *access.Stats // of none: zeros
}

// ObserveForwarder makes the numbers of a forwarder visible.
func (t *Telemetry) ObserveForwarder(src Forwarder) error {
	counters := map[string]func() int64{MessagesSent: src.Messages, MessageBytes: src.Bytes}
	maps.Copy(counters, accessCounters(src.Access))
	return errors.Join(t.refused(src.Access), t.observe(counters, map[string]gauge{
		Subscriptions: func() (float64, bool) { return float64(src.Subscriptions()), true },
		Ready:         truth(src.Ready),
	}))
}

func (t *Telemetry) observe(counters map[string]func() int64, gauges map[string]gauge) error {
	var faults []error
	for name, read := range counters {
		i := instrument(name)
		_, err := t.meter.Int64ObservableCounter(name, metric.WithUnit(i.Unit), metric.WithDescription(i.Desc),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(read())
				return nil
			}))
		faults = append(faults, err)
	}
	for name, read := range gauges {
		i := instrument(name)
		_, err := t.meter.Float64ObservableGauge(name, metric.WithUnit(i.Unit), metric.WithDescription(i.Desc),
			metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
				if v, known := read(); known {
					o.Observe(v)
				}
				return nil
			}))
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// truth is 1 or 0.
func truth(of func() bool) gauge {
	return func() (float64, bool) {
		if of() {
			return 1, true
		}
		return 0, true
	}
}

func instrument(name string) Instrument {
	for _, i := range Instruments() {
		if i.Name == name {
			return i
		}
	}
	return Instrument{Name: name}
}

func (src *Sources) counters() map[string]func() int64 {
	s, p, r := src.Stream, src.Publisher, src.Recovery
	counters := map[string]func() int64{
		Records: s.Records.Load, Heartbeats: s.Heartbeats.Load, Duplicates: s.Duplicates.Load, Queries: s.Queries.Load,
		QueryRetries: s.Retries.Load, QueryEarlyEnds: s.EarlyEnds.Load, QueryStalls: s.Stalls.Load, Gaps: s.Gaps.Load, LeasesLost: s.LeasesLost.Load,
		MessagesSent: signed(&p.Messages), MessageBytes: signed(&p.Bytes), MessagesDropped: signed(&p.Slow), BatchesFenced: signed(&p.Fenced),
		RecoveryAccepted: signed(&r.Requests), RecoveryRefused: signed(&r.Refused), RecoveryMessages: signed(&r.Changes), RecoveryBytes: signed(&r.Bytes),
		SubscribersCut: signed(&p.Cut),
	}
	maps.Copy(counters, accessCounters(src.Access))
	return counters
}

// signed reads a counter as OpenTelemetry wants it.
func signed(n *atomic.Uint64) func() int64 { return func() int64 { return int64(n.Load()) } }

func (src *Sources) gauges() map[string]gauge {
	own := func() time.Time { at, _ := src.Resolved(); return at }
	fleet := func() time.Time { _, at := src.Resolved(); return at }
	number := func(f func() float64) gauge { return func() (float64, bool) { return f(), true } }
	level := func(n *atomic.Int64) gauge { return number(func() float64 { return float64(n.Load()) }) }
	r := src.Recovery
	return map[string]gauge{
		WatermarkAge:      age(own),
		FleetWatermarkAge: age(fleet),
		RetentionRemaining: func() (float64, bool) {
			behind, known := age(fleet)()
			return src.Retention.Seconds() - behind, known
		},
		Ready:           truth(src.Ready),
		PartitionsOwned: number(func() float64 { return float64(src.Owned()) }),
		Orphaned:        number(func() float64 { return float64(orphaned(src.View())) }),
		Replicas:        number(func() float64 { return float64(src.Replicas()) }),
		Subscriptions:   level(&src.Publisher.Subscriptions),
		BufferBytes:     level(&src.Publisher.Buffered),
		BufferLimit:     number(func() float64 { return float64(src.MaxBuffer) }),
		RecoveryRunning: level(&r.Running), RecoveryLive: level(&r.Live), RecoveryWaiting: level(&r.Waiting), RecoveryBuffer: level(&r.Buffered),
		QueueBytes: level(&src.Publisher.Queued),
	}
}

// age is how long ago a time was that may not be known.
func age(of func() time.Time) gauge {
	return func() (float64, bool) {
		at := of()
		return max(0, time.Since(at).Seconds()), !at.IsZero()
	}
}

// orphaned counts the partitions that nobody holds and that are not new.
func orphaned(v changestream.View) (n int) {
	for _, p := range v.Partitions {
		if p.State == changestream.Running && !p.Expiry.After(v.Now) {
			n++
		}
	}
	return n
}

// labelled makes the instruments that have an attribute.
func (t *Telemetry) labelled(src Sources) error {
	options := func(name string) (metric.InstrumentOption, metric.InstrumentOption) {
		i := instrument(name)
		return metric.WithUnit(i.Unit), metric.WithDescription(i.Desc)
	}
	unit, desc := options(Build)
	build, err1 := t.meter.Int64ObservableGauge(Build, unit, desc)
	unit, desc = options(Partitions)
	partitions, err2 := t.meter.Int64ObservableGauge(Partitions, unit, desc)
	unit, desc = options(TopicMessages)
	topics, err3 := t.meter.Int64ObservableCounter(TopicMessages, unit, desc)
	unit, desc = options(Subscribers)
	subscribers, err4 := t.meter.Int64ObservableGauge(Subscribers, unit, desc)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	_, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(build, 1, label("version", src.Version))
		states := map[changestream.State]int64{changestream.Created: 0, changestream.Running: 0, changestream.Finished: 0}
		for _, p := range src.View().Partitions {
			states[p.State]++
		}
		for state, n := range states {
			o.ObserveInt64(partitions, n, label("state", string(state)))
		}
		survey := src.Survey()
		for _, a := range survey.Audiences {
			o.ObserveInt64(subscribers, int64(a.Subscribers), label("audience", cmp.Or(a.Name, access.Everyone)))
		}
		levels := survey.Levels
		for _, l := range levels[:min(len(levels), maxTopics)] {
			if l.Level != "" { // which is spancast.messages.sent
				o.ObserveInt64(topics, int64(l.Count), label("topic", l.Level))
			}
		}
		return nil
	}, build, partitions, topics, subscribers)
	return err
}

func label(key, value string) metric.ObserveOption {
	return metric.WithAttributes(attribute.String(key, value))
}
