package conformance_test

import (
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/conformance"
)

func embedded(t *testing.T, o emulator.Options) conformance.Server {
	t.Helper()
	s, err := emulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return conformance.Server{Addr: s.Addr(), Kind: conformance.Production}
}

func TestEmbedded_DataRecords(t *testing.T) {
	t.Parallel()
	server := embedded(t, emulator.Options{})
	conformance.Run(t, server, rawReader(t, server))
}

func TestEmbedded_Queries(t *testing.T) {
	t.Parallel()
	runQueries(t, embedded(t, emulator.Options{}))
}

func TestEmbedded_PartitionEnds(t *testing.T) {
	t.Parallel()
	conformance.RunPartitionEnds(t, embedded(t, emulator.Options{ChurnEvery: 2 * time.Second}))
}

func TestEmbedded_Schema(t *testing.T) {
	t.Parallel()
	runSchema(t, embedded(t, emulator.Options{}))
}
