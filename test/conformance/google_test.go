package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator/google"
	"github.com/spancast/spancast/test/conformance"
)

// googleServer gives Google's emulator: the one that SPANNER_EMULATOR_HOST
// names, or a process of its own that ends with the test. Without one the test
// is skipped, and fails where CI is set.
func googleServer(t *testing.T, o google.Options) conformance.Server {
	t.Helper()
	if addr := os.Getenv("SPANNER_EMULATOR_HOST"); addr != "" {
		return conformance.Server{Addr: addr, Kind: conformance.Google}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := google.Start(ctx, o)
	if errors.Is(err, google.ErrNotFound) {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have Google's emulator: %v", err)
		}
		fmt.Fprintln(os.Stderr, "SKIPPED: conformance against Google's emulator:", err)
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return conformance.Server{Addr: s.Addr(), Kind: conformance.Google}
}

func rawReader(t *testing.T, s conformance.Server) *conformance.RawReader {
	t.Helper()
	reader, err := conformance.NewRawReader(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Shutdown() })
	return reader
}

func TestGoogle_DataRecords(t *testing.T) {
	t.Parallel()
	server := googleServer(t, google.Options{})
	conformance.Run(t, server, rawReader(t, server))
}

func TestGoogle_Queries(t *testing.T) {
	t.Parallel()
	runQueries(t, googleServer(t, google.Options{}))
}

func TestGoogle_PartitionEnds(t *testing.T) {
	t.Parallel()
	conformance.RunPartitionEnds(t, googleServer(t, google.Options{PartitionLife: time.Second}))
}

func TestGoogle_Schema(t *testing.T) {
	t.Parallel()
	runSchema(t, googleServer(t, google.Options{}))
}

// runQueries and runSchema are the sections that share one server.
func runQueries(t *testing.T, server conformance.Server) {
	t.Run("queries", func(t *testing.T) { conformance.RunQueries(t, server) })
	t.Run("rejected", func(t *testing.T) { conformance.RunRejected(t, server) })
}

func runSchema(t *testing.T, server conformance.Server) {
	t.Run("ddl", func(t *testing.T) { conformance.RunDDL(t, server) })
	t.Run("information schema", func(t *testing.T) { conformance.RunInformationSchema(t, server) })
	t.Run("wire", func(t *testing.T) { conformance.RunWire(t, server) })
}
