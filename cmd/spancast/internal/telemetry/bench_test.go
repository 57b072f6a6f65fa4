package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/test/oracle"
	"github.com/spancast/spancast/topics"
)

// BenchmarkTelemetry compares the pipe from the bytes of a frame to the PUB socket
// without telemetry, with it, looked at every second, and with traces besides of
// which none is sampled: in one run, in rounds that take turns, by processor time,
// and by the quarter of the rounds that took least, since the machine may be busy.
// It does so for frames of one record, where
// telemetry costs most, and of sixteen. The target is 2 %.
func BenchmarkTelemetry(b *testing.B) {
	for _, records := range []int{1, 16} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			kinds := []kind{without, metricsOnly, unsampled}
			var pipes []*pipe
			for _, k := range kinds {
				pipes = append(pipes, newPipe(b, k, records))
			}
			cost := make([][]float64, len(kinds))
			for round := 0; b.Loop(); round++ {
				for i := range kinds {
					k := (i + round) % len(kinds)
					cost[k] = append(cost[k], pipes[k].pass(b))
				}
			}
			for k := range cost {
				slices.Sort(cost[k])
			}
			quiet := func(k kind) float64 { return cost[k][len(cost[k])/4] }
			b.ReportMetric(quiet(without), "ns/record-without")
			b.ReportMetric(100*(quiet(metricsOnly)/quiet(without)-1), "%-metrics")
			b.ReportMetric(100*(quiet(unsampled)/quiet(without)-1), "%-traces-unsampled")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A kind is how much telemetry a pipe has.
type kind int

const (
	without kind = iota
	metricsOnly
	unsampled
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// frames returns the first frame of a query, and one of those that follow.
func frames(b *testing.B, records int) (first, next []byte) {
	f := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(oracle.StructColumn())}
	for i := range records {
		r := oracle.Record{Kind: "data", CommitTimestamp: time.Now().Add(time.Duration(i) * time.Microsecond), RecordSequence: "00000000", ServerTransactionID: "NTQ5MTAx",
			Last: true, Table: "Orders", ModType: "UPDATE", Capture: "NEW_ROW", Records: 1, Partitions: 1,
			Columns: []oracle.Column{{Name: "Id", Type: `{"code":"INT64"}`, Key: true, Ordinal: 1}, {Name: "V", Type: `{"code":"STRING"}`, Ordinal: 2}},
			Mods:    []oracle.Mod{{Keys: fmt.Sprintf(`{"Id":"%d"}`, i), New: `{"V":"` + strings.Repeat("v", 1000) + `"}`, Old: "{}"}}}
		f.Values = append(f.Values, oracle.StructRow(r))
	}
	first, err := proto.Marshal(f)
	check(b, err)
	next, err = proto.Marshal(&spannerpb.PartialResultSet{Values: f.Values})
	check(b, err)
	return first, next
}

// A pipe is a publisher and what feeds it.
type pipe struct {
	t         *Telemetry
	kind      kind
	publisher *publisher.Publisher
	sink      changestream.Sink
	decoder   *changestream.Decoder
	frame     []byte
	records   int
	progress  *changestream.Progress
	scraped   time.Time
}

func newPipe(b *testing.B, k kind, records int) *pipe {
	template, err := topics.ParseTemplate(topics.Default)
	check(b, err)
	router := topics.New("shop", "Everything", template, nil)
	log := slog.New(slog.DiscardHandler)
	o := publisher.Options{Epoch: "0123456789abcdef", Bind: []string{"tcp://127.0.0.1:*"}, SendHWM: 1000, Slow: publisher.SlowDrop, MaxBuffer: 64 << 20, ResolvedInterval: time.Second,
		Router: func() *topics.Router { return router }, NewBody: func() publisher.Body { return publisher.Native{} }, Ignore: func(string) bool { return false },
		Resolved: func() (a, b time.Time) { return time.Now(), time.Now() }, Hello: func() message.HelloBody { return message.HelloBody{} }, Log: log}
	if k == unsampled {
		b.Setenv("OTEL_TRACES_EXPORTER", "otlp")
		b.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
		b.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.000000000001")
		defer func() { b.Setenv("OTEL_TRACES_EXPORTER", "none") }()
	}
	t, err := Open(b.Context(), Options{Service: "bench", Log: log})
	check(b, err)
	if k != without {
		o.Observe, o.Trace = t.Published, t.Tracer()
	}
	p, err := publisher.New(o)
	check(b, err)
	newSink := p.Sink
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	b.Cleanup(func() { cancel(); check(b, <-ended); t.Close(context.Background()) })
	if k != without {
		newSink = t.Sink(p.Sink)
		check(b, t.Observe(Sources{Stream: new(changestream.Stats), Publisher: p.Stats(), Recovery: new(recovery.Stats), Access: new(access.Stats), Survey: p.Survey, Resolved: o.Resolved, Owned: func() int { return 1 },
			Replicas: func() int { return 1 }, View: func() changestream.View { return changestream.View{} }, Ready: func() bool { return true }}))
	}
	out := &pipe{t: t, kind: k, publisher: p, sink: newSink(changestream.Partition{}), decoder: changestream.NewDecoder(new(changestream.Schemas)), records: records,
		progress: changestream.NewProgress(time.Now())}
	first, next := frames(b, records)
	out.frame = next
	check(b, out.decoder.Reset(first))
	out.progress.Lease(time.Now().Add(time.Hour))
	return out
}

// perPass is the number of records of a round.
const perPass = 32_000

// pass sends records and returns the processor time that each took, in ns.
func (p *pipe) pass(b *testing.B) float64 {
	before := cpu(b)
	for range perPass / p.records {
		check(b, p.decoder.Reset(p.frame))
		for {
			kind, err := p.decoder.Next()
			check(b, err)
			if kind == changestream.KindNone {
				break
			}
			check(b, p.sink.Change(p.decoder.Data()))
		}
		check(b, p.sink.Flush(b.Context(), changestream.Mark{Progress: p.progress, Position: time.Now()}))
	}
	check(b, p.publisher.Drained(b.Context()))
	if p.kind != without && time.Since(p.scraped) >= time.Second {
		p.scraped = time.Now()
		w := httptest.NewRecorder()
		p.t.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	}
	return float64((cpu(b) - before).Nanoseconds()) / perPass
}

// cpu is the time that all threads of this process have computed: the machine's
// other work does not show in it.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkPerBatch is what telemetry adds to one batch, whatever its size.
func BenchmarkPerBatch(b *testing.B) {
	t, err := Open(b.Context(), Options{Service: "bench", Log: slog.New(slog.DiscardHandler)})
	check(b, err)
	defer t.Close(context.WithoutCancel(b.Context()))
	s, ctx, now := t.Sink(func(changestream.Partition) changestream.Sink { return nothing{} })(changestream.Partition{}), b.Context(), time.Now()
	for b.Loop() {
		check(b, s.Flush(ctx, changestream.Mark{Position: now}))
		t.Published(time.Now(), 16, now, nil)
	}
}

// nothing is a sink that does nothing.
type nothing struct{}

func (nothing) Change(*changestream.DataChangeRecord) error { return nil }

func (nothing) MovedIn(time.Time, []changestream.PartitionToken) {}

func (nothing) Flush(context.Context, changestream.Mark) error { return nil }
