package cli

import (
	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/fleet"
)

func newPartitions(cfg *config.Loaded) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "partitions",
		Short: "List the partitions, who reads them and how far",
		Long: "Lists the partitions of the change stream as the metadata tables have them, those that are\n" +
			"furthest behind first, finished ones last. Partitions are named by a hash of their tokens, as in logs.",
		Args: cobra.NoArgs,
		RunE: withMetadata(cfg, func(cmd *cobra.Command, m *metadata, _ []string) error {
			f, err := m.fleet(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]fleet.Partition{}, f.Partitions...))
			}
			fleet.PrintPartitions(cmd.OutOrStdout(), f.Partitions)
			return nil
		}),
	}
	cfg.BindFlags(cmd.Flags(), metadataVariables...)
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
