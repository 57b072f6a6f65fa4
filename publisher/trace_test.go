package publisher

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// traceOf is a Trace.
type traceOf string

func (t traceOf) Parent() string { return string(t) }

// TestPublisher_TraceparentOfSampledBatches: every change of a batch that is
// traced says so, those of others say nothing, and a mark alone is no batch.
func TestPublisher_TraceparentOfSampledBatches(t *testing.T) {
	const sampled = traceOf("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	var began []time.Time // by one sink, in this goroutine
	observed := make(chan Trace, 10)
	p := start(t, func(o *Options) {
		o.Trace = func(first time.Time) Trace {
			if began = append(began, first); len(began) == 2 {
				return nil
			}
			return sampled
		}
		o.Observe = func(_ time.Time, _ int, _ time.Time, of Trace) { observed <- of }
	})
	s := p.subscribe(t, "")
	s.until("$resolved/")
	sink, progress := p.Sink(changestream.Partition{Token: "token"}), leased()
	flush := func() {
		check(t, sink.Flush(context.Background(), changestream.Mark{Progress: progress, Position: commitTime.Add(time.Second)}))
	}
	for i := range 3 {
		check(t, sink.Change(record(changestream.ModUpdate, 2*i, 1)))
		check(t, sink.Change(record(changestream.ModUpdate, 2*i+1, 1)))
		flush()
		flush() // a heartbeat
	}
	for i := range 6 {
		g := s.change()
		want := `"last":true,"traceparent":"` + string(sampled) + `"}`
		if i/2 == 1 {
			want = `"last":true}`
		}
		a, err := message.ParseAttributes(g.header.Attributes)
		if check(t, err); !strings.HasSuffix(string(g.header.Attributes), want) || i/2 != 1 && a.Traceparent != string(sampled) {
			t.Errorf("change %d: %s", i, g.header.Attributes)
		}
	}
	if len(began) != 3 || !began[0].Equal(commitTime) {
		t.Errorf("traces began at %v", began)
	}
	for i, want := range []Trace{sampled, nil, sampled} {
		if got := <-observed; got != want {
			t.Errorf("batch %d was observed with trace %v", i, got)
		}
	}
}
