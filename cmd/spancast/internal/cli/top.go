package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/fleet"
)

func newTop(cfg *config.Loaded) *cobra.Command {
	every := 2 * time.Second
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the fleet, live",
		Long: "Shows what status and admin partitions show, again and again: on a terminal in place, until q or\n" +
			"Ctrl-C is pressed; elsewhere one after the other. It reads the metadata tables and nothing else.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if every < 100*time.Millisecond {
				return errors.New("--interval must be at least 100ms")
			}
			return withMetadata(cfg, func(cmd *cobra.Command, m *metadata, _ []string) error {
				return failed(watch(cmd.Context(), cmd.OutOrStdout(), m.fleet, every))
			})(cmd, args)
		},
	}
	cfg.BindFlags(cmd.Flags(), metadataVariables...)
	cmd.Flags().SortFlags = false
	cmd.Flags().DurationVar(&every, "interval", every, "time between two looks")
	return cmd
}

// watch shows the fleet at an interval, until ctx is done or somebody quits.
func watch(ctx context.Context, out io.Writer, look func(context.Context) (fleet.Fleet, error), every time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	show := func(b []byte) { out.Write(append(b, '\n')) }
	if isTerminal(os.Stdin) && isTerminal(os.Stdout) {
		s, err := openScreen(os.Stdin, os.Stdout, cancel)
		if err != nil {
			return fmt.Errorf("use the terminal: %w", err)
		}
		defer s.close()
		show = s.show
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for seen := false; ; {
		f, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !seen:
			return err // wrong from the start: not to be waited for
		case err != nil:
			show(fmt.Appendf(nil, "the metadata tables cannot be read: %v\n", err))
		default:
			seen = true
			show(page(f))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// page is what is shown at one time. Finished partitions are of no interest here.
func page(f fleet.Fleet) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", fleet.Time(f.Now))
	f.Print(&b)
	fmt.Fprintln(&b)
	fleet.PrintPartitions(&b, f.Partitions[:f.Counts.Created+f.Counts.Running])
	return b.Bytes()
}
