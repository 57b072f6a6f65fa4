package cli

import (
	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

func newStatus(cfg *config.Loaded) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the fleet, as the metadata tables have it",
		Long: "Shows the replicas, how many partitions each reads, up to when everything was published, and\n" +
			"what is wrong. It reads the metadata tables and nothing else, so that any machine shows the\n" +
			"whole fleet. Positions trail what was published by SPANCAST_CHECKPOINT_LAG.",
		Args: cobra.NoArgs,
		RunE: withMetadata(cfg, func(cmd *cobra.Command, m *metadata, _ []string) error {
			f, err := m.fleet(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), f)
			}
			f.Print(cmd.OutOrStdout())
			return nil
		}),
	}
	cfg.BindFlags(cmd.Flags(), metadataVariables...)
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
