package spannerdb

import (
	"context"
	"net"
	"testing"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// Embedded starts an embedded Spanner for this test alone, with a database
// (projects/P/instances/I/databases/D) and a client of it.
func Embedded(t testing.TB, o emulator.Options, database string, dialect emulator.Dialect, ddl ...string) (*emulator.Server, *spanner.Client) {
	t.Helper()
	ctx := context.Background()
	server, err := emulator.Start(ctx, o)
	check(t, err)
	t.Cleanup(func() { server.Close() })
	check(t, server.CreateDatabase(database, dialect, ddl...))
	client, err := spanner.NewClientWithConfig(ctx, database, spanner.ClientConfig{DisableNativeMetrics: true}, server.ClientOptions()...)
	check(t, err)
	t.Cleanup(client.Close)
	return server, client
}

// Dialer opens plain connections to an emulator at host:port, as those that read
// change streams want them.
func Dialer(host string) changestream.Dialer {
	return changestream.Dialer{Authority: host, UserAgent: "test", Connect: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", host)
	}}
}
