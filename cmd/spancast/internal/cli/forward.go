package cli

import (
	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/service"
)

func newForward(cfg *config.Loaded) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forward",
		Short: "Give publishers and subscribers one stable address",
		Long: "Binds one socket for publishers (SPANCAST_FORWARD_BIND), which connect to it as SPANCAST_CONNECT\n" +
			"tells them, and one for subscribers (SPANCAST_BIND), and passes on what comes. It needs no Spanner\n" +
			"and keeps nothing. With SPANCAST_CURVE_SECRET_KEY_FILE and SPANCAST_ACCESS_FILE only those publishers\n" +
			"and subscribers are let in that the file names. SIGTERM or Ctrl-C end it.",
		Example: "  spancast forward --forward-bind tcp://10.0.0.5:5555 --bind tcp://10.0.0.5:5556\n  SPANCAST_CONNECT=tcp://10.0.0.5:5555 spancast serve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := misconfigured(cfg.ValidateForwarder()); err != nil {
				return err
			}
			log, level := newLogger(cfg)
			followSignals(cmd.Context(), log, level)
			return failed(service.Forward(cmd.Context(), cfg, log, level))
		},
	}
	cfg.BindFlags(cmd.Flags(), "FORWARD_BIND", "BIND", "HTTP", "HTTP_CERT_FILE", "HTTP_KEY_FILE", "PROFILE", "SEND_HWM",
		"CURVE_SECRET_KEY", "CURVE_SECRET_KEY_FILE", "CURVE_ROTATION_OFFSET", "ACCESS_FILE", "ALLOW_INSECURE", "LOG_LEVEL", "LOG_FORMAT")
	cmd.Flags().SortFlags = false
	return cmd
}
