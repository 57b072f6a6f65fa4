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
	emulator, second := string(demo.Embedded), ""
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything at work on this machine",
		Long: "Starts a Spanner in memory with two tables and a change stream, a workload that changes them,\n" +
			"two replicas that publish the changes, a subscriber that prints them, and a status page whose\n" +
			"address is printed. The second replica is a process of its own: kill it, and see the first\n" +
			"take over. Ctrl-C ends it all. It uses nothing of the configuration, and nothing outside this\n" +
			"machine.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := loggerTo(os.Stderr, true, slog.LevelInfo)
			switch {
			case second != "":
				return failed(demo.Second(cmd.Context(), second, os.Stdin, cmd.OutOrStdout(), loggerTo(os.Stderr, true, slog.LevelError)))
			case emulator != string(demo.Embedded) && emulator != string(demo.Google):
				return fmt.Errorf("--emulator %q is not one of embedded, google", emulator)
			case o.Rate <= 0 || o.Count < 0 || o.PartitionLife < time.Second:
				return errors.New("--rate must be more than 0, --count not less, and --partition-life at least 1s")
			}
			o.Spanner = demo.Kind(emulator)
			o.Out, o.Colour, o.Log = cmd.OutOrStdout(), colours(os.Stdout), log
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
	f.StringVar(&second, "second", "", "run the second replica, on the Spanner at this address: for demo itself")
	f.Lookup("second").Hidden = true
	return cmd
}
