package chaos

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/emulator/google"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

const streamName = "Everything"

// A backend is the Spanner under an Arena: one for the change stream, one for
// the metadata tables. They are the same, on Google's emulator, or two embedded
// ones, which break on demand and each by itself.
type backend struct {
	kind         Kind
	source, meta string // host:port
	db           *spannerdb.DB
	metadata     string // database of the metadata tables
	store        *checkpoint.Spanner

	server, metaServer *emulator.Server // nil on Google's emulator
}

// embedded starts two embedded Spanners.
func embedded(t testing.TB, kind Kind) *backend {
	t.Helper()
	b := &backend{kind: kind}
	for _, s := range []**emulator.Server{&b.server, &b.metaServer} {
		var err error
		if *s, err = emulator.Start(context.Background(), emulator.Options{MinHeartbeat: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*s).Close() })
	}
	b.source, b.meta = b.server.Addr(), b.metaServer.Addr()
	b.prepare(t)
	return b
}

// onGoogle starts Google's emulator, in a process of its own.
func onGoogle(t testing.TB, kind Kind) *backend {
	t.Helper()
	addr := spannerdb.Own(t, google.Options{PartitionLife: 2 * time.Second}).Addr()
	b := &backend{kind: kind, source: addr, meta: addr}
	b.prepare(t)
	return b
}

// prepare makes the databases.
func (b *backend) prepare(t testing.TB) {
	t.Helper()
	b.db = spannerdb.New(t, b.source, b.kind.code(), b.kind.schema()...)
	b.metadata = b.db.Name + "m"
	env := b.env()
	env["SPANCAST_SPANNER_ENDPOINT"], env["SPANCAST_METADATA_ENDPOINT"] = b.source, b.meta
	if status, _, stderr := harness.Run(t, env, "admin", "bootstrap", "--dialect", string(b.kind.dialect())); status != 0 {
		t.Fatalf("bootstrap: %s", stderr)
	}
	client, err := spanner.NewClientWithConfig(context.Background(), b.metadata, spanner.ClientConfig{DisableNativeMetrics: true}, spannerdb.Options(b.meta)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b.store = checkpoint.NewSpanner(client, changestream.Info{Database: b.db.Name, Stream: streamName}, "Spancast")
}

func (b *backend) env() map[string]string {
	return map[string]string{"SPANCAST_DATABASE": b.db.Name, "SPANCAST_CHANGE_STREAM": streamName, "SPANCAST_METADATA_DATABASE": b.metadata}
}

// churn changes the partitions, if that is possible now.
func (b *backend) churn(change emulator.Change) (bool, error) {
	err := b.server.Churn(b.db.Name, streamName, change, "")
	if errors.Is(err, emulator.ErrChurn) {
		return false, nil
	}
	return err == nil, err
}
