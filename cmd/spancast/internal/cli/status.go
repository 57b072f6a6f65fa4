package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/fleet"
)

func newStatus(cfg *config.Loaded) *cobra.Command {
	return newView(cfg, &cobra.Command{
		Use:   "status",
		Short: "Show the fleet, as the metadata tables have it",
		Long: "Shows the replicas, how many partitions each reads, up to when everything was published, and\n" +
			"what is wrong. It reads the metadata tables and nothing else, so that any machine shows the\n" +
			"whole fleet. Positions trail what was published by SPANCAST_CHECKPOINT_LAG.",
	}, func(f fleet.Fleet) any { return f }, func(w io.Writer, f fleet.Fleet) { f.Print(w) })
}

func newPartitions(cfg *config.Loaded) *cobra.Command {
	return newView(cfg, &cobra.Command{
		Use:   "partitions",
		Short: "List the partitions, who reads them and how far",
		Long: "Lists the partitions of the change stream as the metadata tables have them, those that are\n" +
			"furthest behind first, finished ones last. Partitions are named by a hash of their tokens, as in logs.",
	}, func(f fleet.Fleet) any { return append([]fleet.Partition{}, f.Partitions...) }, func(w io.Writer, f fleet.Fleet) { fleet.PrintPartitions(w, f.Partitions) })
}

// newView completes a command that shows something of the metadata tables, as
// text or as JSON.
func newView(cfg *config.Loaded, cmd *cobra.Command, value func(fleet.Fleet) any, text func(io.Writer, fleet.Fleet)) *cobra.Command {
	var asJSON bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = withFleet(cfg, nil, func(cmd *cobra.Command, _ *metadata, f fleet.Fleet) error {
		if asJSON {
			return printJSON(cmd.OutOrStdout(), value(f))
		}
		text(cmd.OutOrStdout(), f)
		return nil
	})
	cfg.BindFlags(cmd.Flags(), metadataVariables...)
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
