package test

import (
	"context"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// embedded starts the embedded Spanner, until the test ends. It takes heartbeats of
// a tenth of a second, if the options do not say otherwise.
func embedded(t testing.TB, o emulator.Options) *emulator.Server {
	t.Helper()
	if o.MinHeartbeat == 0 {
		o.MinHeartbeat = 100 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	server, err := emulator.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}
