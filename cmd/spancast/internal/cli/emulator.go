package cli

import (
	"flag"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/emulator"
)

func newEmulator() *cobra.Command {
	e := emulator.NewCommand()
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Run the embedded Spanner on a port",
		Long: "Runs a Cloud Spanner in memory, with change streams, for any client that honours\n" +
			"SPANNER_EMULATOR_HOST. It keeps nothing when it ends. Flags make partitions split and merge,\n" +
			"make a synthetic load, and let things go wrong on demand.",
		Example: "  spancast emulator --port 9010 --churn 10s\n  export SPANNER_EMULATOR_HOST=localhost:9010",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.Validate(); err != nil {
				return misconfigured(err)
			}
			return failed(e.Run(cmd.Context(), cmd.OutOrStdout()))
		},
	}
	flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
	e.Flags(flags)
	cmd.Flags().AddGoFlagSet(flags)
	cmd.Flags().SortFlags = false
	return cmd
}
