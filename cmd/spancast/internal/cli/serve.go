package cli

import (
	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/service"
)

func newServe(cfg *config.Loaded) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Read the change stream and publish every change",
		Long: "Reads the change stream and publishes every change until it is told to stop: SIGTERM or\n" +
			"Ctrl-C end it in order (what was read is published, positions are saved, partitions given\n" +
			"to other replicas), a second one at once. SIGUSR1 makes the log say everything, SIGUSR2\n" +
			"what is configured. Files that it was given are watched, so that there is nothing to tell it\n" +
			"when they change.",
		Example: "  export SPANCAST_DATABASE=projects/my-project/instances/my-instance/databases/my-db SPANCAST_CHANGE_STREAM=Everything\n" +
			"  spancast admin bootstrap\n  spancast serve",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checked(cfg, "DATABASE", "CHANGE_STREAM"); err != nil {
				return err
			}
			service.LimitMemory(int64(cfg.MaxBuffer))
			log, level := newLogger(cfg)
			followSignals(cmd.Context(), log, level)
			s, err := service.Open(cmd.Context(), cfg, log, level)
			if err != nil {
				return failed(err)
			}
			defer s.Close()
			return failed(s.Run(cmd.Context()))
		},
	}
	cfg.BindFlags(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}
