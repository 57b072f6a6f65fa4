package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/cmd/spancast/internal/fleet"
	"github.com/spancast/spancast/cmd/spancast/internal/service"
)

// A reset is what admin reset is asked for.
type reset struct {
	to    config.StartAt
	force bool
	ask   consent
}

func newReset(cfg *config.Loaded) *cobra.Command {
	var r reset
	var to string
	cmd := &cobra.Command{
		Use:   "reset --to TIME",
		Short: "Throw all positions away, and begin anew at a time",
		Long: "Throws the partitions of the change stream away, with their positions, and stores those that\n" +
			"were alive at a time, so that reading begins anew there. What lies between the old positions\n" +
			"and that time is lost, or published again. End the replicas first: the command refuses while\n" +
			"one is running, unless --force is given.",
		Example: "  spancast admin reset --to 2026-11-20T09:54:00Z --dry-run\n  spancast admin reset --to 30m --yes",
		Args:    cobra.NoArgs,
		RunE:    withFleet(cfg, func() error { return r.parse(to) }, r.run),
	}
	r.ask.flags(cfg, cmd, func(f *pflag.FlagSet) {
		f.StringVar(&to, "to", "", "where to begin: now, an RFC 3339 time, or a duration back")
		f.BoolVar(&r.force, "force", false, "although replicas are running; they lose their partitions, and nobody reads until their leases have run out")
	})
	return cmd
}

func (r *reset) parse(to string) error {
	if to == "" {
		return errors.New("--to is required: now, an RFC 3339 time, or a duration back")
	}
	if err := r.to.UnmarshalText([]byte(to)); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	return nil
}

func (r *reset) run(cmd *cobra.Command, m *metadata, f fleet.Fleet) error {
	at := r.to.Time(f.Now).Truncate(time.Microsecond)
	if at.After(f.Now) {
		return misconfigured(fmt.Errorf("--to: %s is in the future; the metadata database has %s", fleet.Time(at), fleet.Time(f.Now)))
	}
	live := liveReplicas(f)
	if len(live) > 0 && !r.force && !r.ask.dryRun {
		return failed(fmt.Errorf("replicas are running: %s; end them first (SIGTERM), or give --force", strings.Join(live, ", ")))
	}
	roots, err := rootsAt(cmd.Context(), m.cfg, at)
	if changestream.CauseOf(err) == changestream.PositionTooOld {
		return misconfigured(fmt.Errorf("--to: %v", err)) // the way out of other commands is not that of this one
	}
	if err != nil {
		return failed(err)
	}
	out := cmd.OutOrStdout()
	foretell(out, f, at, len(roots))
	if len(live) > 0 && !r.force {
		fmt.Fprintf(out, "REFUSED without --force while replicas are running: %s\n", strings.Join(live, ", "))
	}
	if ok, err := r.ask.given(cmd); !ok {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), connect.Timeout)
	defer cancel()
	removed, err := m.store.Reset(ctx, roots, f.Now)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(out, "%d partitions thrown away, %d stored: reading begins anew at %s\n", removed, len(roots), fleet.Time(at))
	return nil
}

func liveReplicas(f fleet.Fleet) (out []string) {
	for _, r := range f.Replicas {
		if r.Live {
			out = append(out, r.ID)
		}
	}
	return out
}

// rootsAt asks the change stream for its partitions at a time.
func rootsAt(ctx context.Context, cfg *config.Loaded, at time.Time) ([]changestream.Partition, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*connect.Timeout)
	defer cancel()
	client, info, err := service.Describe(ctx, cfg, nil)
	if client != nil {
		defer client.Close()
	}
	if err != nil {
		return nil, err
	}
	stream, err := changestream.New(changestream.Options{Info: info, Dial: connect.Dialer(cfg.Source()), Role: cfg.DatabaseRole,
		QueryWindow: cfg.QueryWindow, Heartbeat: cfg.Heartbeat})
	if err != nil {
		return nil, err
	}
	return stream.Roots(ctx, at)
}

// foretell says what a reset will do.
func foretell(w io.Writer, f fleet.Fleet, at time.Time, roots int) {
	fmt.Fprintf(w, "%d partitions of %s, with their positions, will be thrown away\n", len(f.Partitions), f.Stream)
	fmt.Fprintf(w, "reading begins anew at %s, with %d partitions\n", fleet.Time(at), roots)
	var last time.Time
	for _, p := range f.Partitions {
		if p.Position.After(last) {
			last = p.Position
		}
	}
	if !f.Resolved.IsZero() && f.Resolved.Before(at) {
		fmt.Fprintf(w, "LOST: changes committed from %s up to then, that were not published yet, never will be\n", fleet.Time(f.Resolved))
	}
	if last.After(at) {
		fmt.Fprintf(w, "REPEATED: changes committed from then up to %s are published again; their versions are the same\n", fleet.Time(last))
	}
}
