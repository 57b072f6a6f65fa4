package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

func newConfig(cfg *config.Loaded) *cobra.Command {
	format := "text"
	cmd := &cobra.Command{
		Use:   "config",
		Short: "List the variables, their defaults and their values",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := cfg.Print(format)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), out)
			return misconfigured(cfg.Validate())
		},
	}
	cfg.BindFlags(cmd.Flags())
	cmd.Flags().StringVar(&format, "output", format, "text, env, json or md")
	return cmd
}
