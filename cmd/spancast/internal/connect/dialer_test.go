package connect

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/spannerdb"
	"github.com/spancast/spancast/test/wait"
)

const (
	databaseName = "projects/p/instances/i/databases/d"
	streamName   = "S"
)

// newSpanner is an embedded Spanner with a stream.
func newSpanner(t *testing.T) (*emulator.Server, *spanner.Client) {
	t.Helper()
	return spannerdb.Embedded(t, emulator.Options{MinHeartbeat: 50 * time.Millisecond}, databaseName, emulator.GoogleSQL,
		"CREATE TABLE T (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)", "CREATE CHANGE STREAM "+streamName+" FOR T")
}

// commit writes rows of some sizes, in bytes, and returns when the first and the
// last were committed.
func commit(t *testing.T, client *spanner.Client, sizes ...int) (first, last time.Time) {
	t.Helper()
	for i, size := range sizes {
		at, err := client.Apply(limit(t), []*spanner.Mutation{spanner.Insert("T", []string{"Id", "V"}, []any{i, strings.Repeat("v", size)})})
		must(t, err)
		if last = at; i == 0 {
			first = at
		}
	}
	return first, last
}

// A recorder is a sink that keeps all that it is given.
type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) Change(rec *changestream.DataChangeRecord) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range rec.Mods {
		r.all = append(r.all, fmt.Sprintf("%s %s %s %s %s %s %s", rec.CommitTimestamp, rec.ServerTransactionID, rec.RecordSequence, rec.ModType, m.Keys, m.NewValues, m.OldValues))
	}
	return nil
}

func (r *recorder) Flush(_ context.Context, m changestream.Mark) error {
	m.Progress.Published(m)
	return nil
}

func (r *recorder) MovedIn(time.Time, []changestream.PartitionToken) {}

func (r *recorder) sorted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.all))
}

// reading reads the stream from a time to an end; zero: none.
func reading(t *testing.T, client *spanner.Client, dial changestream.Dialer, from, end time.Time) (*changestream.Stream, *recorder) {
	t.Helper()
	info, err := changestream.Describe(limit(t), client, streamName)
	must(t, err)
	sink := new(recorder)
	stream, err := changestream.New(changestream.Options{
		Info: info, Dial: dial, Replica: changestream.Replica{ID: "me"}, Store: checkpoint.NewMemory(time.Now),
		NewSink: func(changestream.Partition) changestream.Sink { return sink }, Drained: func(context.Context) error { return nil },
		OnGap: func(g changestream.Gap) { t.Errorf("a gap: %v", g) }, Start: func(time.Time) time.Time { return from }, OnGapPolicy: changestream.GapStop,
		End: end, QueryWindow: 200 * time.Millisecond, Heartbeat: 50 * time.Millisecond, CheckpointInterval: 50 * time.Millisecond,
		Lease: 2 * time.Second, DrainTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return stream, sink
}

// records are those of the stream, as a connection brings them.
func records(t *testing.T, client *spanner.Client, dial changestream.Dialer, from, end time.Time) []string {
	t.Helper()
	stream, sink := reading(t, client, dial, from, end)
	must(t, stream.Run(limit(t)))
	return sink.sorted()
}

// What comes under TLS, through a proxy as well, is what comes without.
func TestDialer_ReadsAStreamUnderTLS(t *testing.T) {
	server, client := newSpanner(t)
	first, last := commit(t, client, 1, 10, 1000, 100_000, 2_000_000, 7, 300_000)
	end := last.Add(time.Microsecond)
	want := records(t, client, spannerdb.Dialer(server.Addr()), first, end)
	if len(want) != 7 {
		t.Fatalf("%d records", len(want))
	}
	signIn(t)
	here := listen(t, trusted().server(t, "127.0.0.1", "h2"), forwardTo(server.Addr()))
	away := listen(t, trusted().server(t, "spanner.test", "h2"), forwardTo(server.Addr()))
	p := newProxy(t, nil, accept(away))
	t.Setenv("HTTPS_PROXY", "http://"+p.address)
	for _, target := range []config.Target{{Endpoint: server.Addr(), PlainText: true}, {Endpoint: here}, {Endpoint: "spanner.test:443"}} {
		must(t, Reach(limit(t), target))
		if got := records(t, client, Dialer(target), first, end); !slices.Equal(got, want) {
			t.Errorf("%+v: %d records, not the %d there are", target, len(got), len(want))
		}
	}
	if p.asked() == 0 {
		t.Error("the proxy was not asked")
	}
}

// TestDialer_SaysWhoAsks: the headers of Google's clients, as the server sees them.
func TestDialer_SaysWhoAsks(t *testing.T) {
	signIn(t, "quota_project_id", "payer")
	seen := make(chan metadata.MD, 1)
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(trusted().server(t, "127.0.0.1"))), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		seen <- md
		return status.Error(codes.PermissionDenied, "that is all")
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go g.Serve(l)
	defer g.Stop()
	if err := probe(t, config.Target{Endpoint: l.Addr().String()}); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "that is all") {
		t.Error(err)
	}
	md := <-seen
	for name, want := range map[string]string{
		"authorization": "Bearer token-1", "x-goog-user-project": "payer", ":authority": l.Addr().String(), "user-agent": userAgent,
		"google-cloud-resource-prefix": databaseName, "content-type": "application/grpc",
	} {
		if got := md.Get(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

// TestDialer_SaysWhatIsWrongWithTheServer, and where it is: to who checks it at the
// start, and to who reads.
func TestDialer_SaysWhatIsWrongWithTheServer(t *testing.T) {
	signIn(t)
	nobody := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		return l.Addr().String()
	}()
	old := trusted().server(t, "127.0.0.1", "h2")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for name, c := range map[string]struct{ address, want string }{
		"nobody there":      {nobody, "connection refused"},
		"unknown authority": {listen(t, newAuthority("unknown").server(t, "127.0.0.1", "h2"), silent), "certificate signed by unknown authority; SSL_CERT_FILE"},
		"another name":      {listen(t, trusted().server(t, "other.test", "h2"), silent), "certificate"},
		"HTTP/1.1 only":     {listen(t, trusted().server(t, "127.0.0.1", "http/1.1"), badRequest), "does not speak HTTP/2"},
		"no ALPN":           {listen(t, trusted().server(t, "127.0.0.1"), badRequest), "does not speak HTTP/2"},
		"without TLS":       {listen(t, nil, badRequest), "does not speak TLS"},
		"closes":            {listen(t, nil, heard), "closed the connection instead of beginning TLS"},
		"TLS 1.1":           {listen(t, old, silent), "protocol version"},
	} {
		t.Run(name, func(t *testing.T) {
			target := config.Target{Endpoint: c.address}
			for who, err := range map[string]error{"check": Reach(limit(t), target), "reader": probe(t, target)} {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.address) {
					t.Errorf("%s: %v", who, err)
				}
				if cause := changestream.CauseOf(err); cause != changestream.Transient && cause != changestream.Unreachable {
					t.Errorf("%s: cause %d, though it may pass", who, cause)
				}
			}
		})
	}
}

// A replica goes on when tokens cannot be had for a while, and ends when they are
// refused.
func TestDialer_OutlivesAnOutageOfTheTokenServer(t *testing.T) {
	server, client := newSpanner(t)
	tokens := signIn(t)
	tokens.last(1)
	address := listen(t, trusted().server(t, "127.0.0.1", "h2"), forwardTo(server.Addr()))
	first, _ := commit(t, client, 1)
	stream, sink := reading(t, client, Dialer(config.Target{Endpoint: address}), first, time.Time{})
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(limit(t)) }()
	wait.Until(t, "the first change is read", func() bool { return len(sink.sorted()) == 1 })
	tokens.refuse(500, "out of order")
	wait.Until(t, "queries fail", func() bool { return stream.Stats().Retries.Load() > 2 })
	_, err := client.Apply(limit(t), []*spanner.Mutation{spanner.Insert("T", []string{"Id", "V"}, []any{100, "meanwhile"})})
	must(t, err)
	tokens.refuse(0, "")
	wait.Until(t, "the change is read", func() bool { return len(sink.sorted()) == 2 })
	tokens.refuse(400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
	err = <-ended
	if changestream.CauseOf(err) != changestream.Denied || status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "credentials: ") || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("it ended with %v", err)
	}
}
