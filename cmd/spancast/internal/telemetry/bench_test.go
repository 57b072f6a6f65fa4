package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
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
// with and without telemetry, which is also looked at every second, in one run:
// for frames of one record, where telemetry costs most, and of sixteen.
func BenchmarkTelemetry(b *testing.B) {
	for _, records := range []int{1, 16} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("%drecords/telemetry=%v", records, with), func(b *testing.B) { benchPipe(b, records, with) })
		}
	}
}

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

func benchPipe(b *testing.B, records int, with bool) {
	template, err := topics.ParseTemplate(topics.Default)
	check(b, err)
	router := topics.New("shop", "Everything", template, nil)
	log := slog.New(slog.DiscardHandler)
	o := publisher.Options{Epoch: "0123456789abcdef", Bind: []string{"tcp://127.0.0.1:*"}, SendHWM: 1000, Slow: publisher.SlowDrop, MaxBuffer: 64 << 20, ResolvedInterval: time.Second,
		Router: func() *topics.Router { return router }, NewBody: func() publisher.Body { return publisher.Native{} }, Ignore: func(string) bool { return false },
		Resolved: func() (a, b time.Time) { return time.Now(), time.Now() }, Hello: func() message.HelloBody { return message.HelloBody{} }, Log: log}
	t, err := Open(b.Context(), Options{Service: "bench", Log: log})
	check(b, err)
	defer t.Close(context.WithoutCancel(b.Context()))
	if with {
		o.Observe = t.Published
	}
	p, err := publisher.New(o)
	check(b, err)
	newSink := p.Sink
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { cancel(); check(b, <-ended) }()
	if with {
		newSink = t.Sink(p.Sink)
		check(b, t.Observe(Sources{Stream: new(changestream.Stats), Publisher: p.Stats(), Recovery: new(recovery.Stats), Access: new(access.Stats), Survey: p.Survey, Resolved: o.Resolved, Owned: func() int { return 1 },
			Replicas: func() int { return 1 }, View: func() changestream.View { return changestream.View{} }, Ready: func() bool { return true }}))
		go scrape(ctx, t)
	}
	sink, d := newSink(changestream.Partition{}), changestream.NewDecoder(new(changestream.Schemas))
	first, next := frames(b, records)
	check(b, d.Reset(first))
	progress := changestream.NewProgress(time.Now())
	progress.Lease(time.Now().Add(time.Hour))
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for range b.N {
		check(b, d.Reset(next))
		for {
			kind, err := d.Next()
			check(b, err)
			if kind == changestream.KindNone {
				break
			}
			check(b, sink.Change(d.Data()))
		}
		check(b, sink.Flush(ctx, changestream.Mark{Progress: progress, Position: time.Now()}))
	}
	check(b, p.Drained(ctx))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N*records), "cpu-ns/record")
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
		t.Published(16, now, nil)
	}
}

// nothing is a sink that does nothing.
type nothing struct{}

func (nothing) Change(*changestream.DataChangeRecord) error { return nil }

func (nothing) MovedIn(time.Time, []changestream.PartitionToken) {}

func (nothing) Flush(context.Context, changestream.Mark) error { return nil }

// scrape looks at the metrics every second.
func scrape(ctx context.Context, t *Telemetry) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w := httptest.NewRecorder()
			t.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			io.Copy(io.Discard, w.Body)
		}
	}
}
