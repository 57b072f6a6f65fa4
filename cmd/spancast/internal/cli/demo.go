package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/demo"
	"github.com/spancast/spancast/emulator/google"
)

func newDemo() *cobra.Command {
	o := demo.Options{PartitionLife: 5 * time.Second, Rate: 3}
	emulator := string(demo.Embedded)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything at work on this machine",
		Long: "Starts a Spanner in memory with two tables and a change stream, a workload that changes them,\n" +
			"a replica that publishes the changes, a subscriber that prints them, and a status page whose\n" +
			"address is printed. Ctrl-C ends it. It uses nothing of the configuration, and nothing outside\n" +
			"this machine.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case emulator != string(demo.Embedded) && emulator != string(demo.Google):
				return fmt.Errorf("--emulator %q is not one of embedded, google", emulator)
			case o.Rate <= 0 || o.Count < 0 || o.PartitionLife < time.Second:
				return errors.New("--rate must be more than 0, --count not less, and --partition-life at least 1s")
			}
			o.Spanner = demo.Kind(emulator)
			o.Out, o.Colour, o.Log = cmd.OutOrStdout(), colours(os.Stdout), loggerTo(os.Stderr, true, slog.LevelInfo)
			err := demo.Run(cmd.Context(), o)
			if errors.Is(err, google.ErrNotFound) {
				return misconfigured(err)
			}
			return failed(err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&emulator, "emulator", emulator, "which Spanner: embedded, or google for Google's emulator from the Cloud SDK")
	f.Float64Var(&o.Rate, "rate", o.Rate, "transactions a second")
	f.IntVar(&o.Count, "count", 0, "end after so many changes; 0: never")
	f.DurationVar(&o.PartitionLife, "partition-life", o.PartitionLife, "how long partitions of the change stream live before they split, move or merge, at least")
	return cmd
}
