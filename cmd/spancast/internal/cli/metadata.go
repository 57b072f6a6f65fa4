package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"cloud.google.com/go/spanner"
	"github.com/spf13/cobra"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/cmd/spancast/internal/fleet"
)

// metadataVariables are those that say where the metadata tables are, and which
// rows of them are meant.
var metadataVariables = []string{"DATABASE", "CHANGE_STREAM", "METADATA_DATABASE", "SPANNER_ENDPOINT", "METADATA_ENDPOINT", "METADATA_PREFIX", "DATABASE_ROLE", "LEASE"}

// metadata are the tables of a change stream, for commands that look at them. It
// needs nothing else than the metadata database.
type metadata struct {
	cfg    *config.Loaded
	client *spanner.Client
	store  *checkpoint.Spanner
	stream string
	table  string // of the partitions
}

// openMetadata connects to the tables. Close must follow.
func openMetadata(ctx context.Context, cfg *config.Loaded) (*metadata, error) {
	target := cfg.Metadata()
	if err := connect.Reach(ctx, target); err != nil {
		return nil, err
	}
	client, err := connect.Client(context.WithoutCancel(ctx), target, cfg.DatabaseRole)
	if err != nil {
		return nil, err
	}
	info := changestream.Info{Database: string(cfg.Database), Stream: cfg.ChangeStream}
	m := &metadata{cfg: cfg, client: client, store: checkpoint.NewSpanner(client, info, string(cfg.MetadataPrefix)), stream: checkpoint.StreamName(info)}
	m.table = fmt.Sprintf("table %s of %s", checkpoint.TablesOf(string(cfg.MetadataPrefix)).Partitions, target.Database)
	return m, nil
}

func (m *metadata) Close() { m.client.Close() }

// view reads the tables.
func (m *metadata) view(ctx context.Context) (changestream.View, error) {
	ctx, cancel := context.WithTimeout(ctx, connect.Timeout)
	defer cancel()
	return m.store.View(ctx)
}

// fleet reads the tables and makes sense of them.
func (m *metadata) fleet(ctx context.Context) (fleet.Fleet, error) {
	v, err := m.view(ctx)
	return fleet.Of(m.stream, v, m.cfg.Lease), err
}

// withMetadata makes the RunE of a command that works on the metadata tables.
func withMetadata(cfg *config.Loaded, f func(cmd *cobra.Command, m *metadata, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := checked(cfg, "DATABASE", "CHANGE_STREAM"); err != nil {
			return err
		}
		m, err := openMetadata(cmd.Context(), cfg)
		if err != nil {
			return failed(err)
		}
		defer m.Close()
		return f(cmd, m, args)
	}
}

// withFleet makes the RunE of a command that goes by what the metadata tables
// say of the fleet. Check, which may be nil, looks at the flags before that.
func withFleet(cfg *config.Loaded, check func() error, f func(*cobra.Command, *metadata, fleet.Fleet) error) func(*cobra.Command, []string) error {
	run := withMetadata(cfg, func(cmd *cobra.Command, m *metadata, _ []string) error {
		all, err := m.fleet(cmd.Context())
		if err != nil {
			return failed(err)
		}
		return f(cmd, m, all)
	})
	return func(cmd *cobra.Command, args []string) error {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		return run(cmd, args)
	}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return failed(e.Encode(v))
}
