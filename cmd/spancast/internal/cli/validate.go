package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/service"
)

func newValidate(cfg *config.Loaded) *cobra.Command {
	var offline, asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration, and everything that it names",
		Long: "Checks the configuration and, unless --offline is given, everything remote that it names:\n" +
			"the databases, the change stream and that it can be read, the metadata tables, the endpoints.\n" +
			"Exit status 0 when all is well, 2 when the configuration is wrong, 1 when something it names is not as it should be.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := service.Check(cmd.Context(), cfg, offline)
			if err := printChecks(cmd.OutOrStdout(), checks, asJSON); err != nil {
				return failed(err)
			}
			return verdict(checks)
		},
	}
	cfg.BindFlags(cmd.Flags())
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&offline, "offline", false, "check only what can be checked without connecting")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the checklist as JSON")
	return cmd
}

func printChecks(w io.Writer, checks []service.CheckResult, asJSON bool) error {
	if asJSON {
		type line struct {
			Check  string `json:"check"`
			Status string `json:"status"`
			Detail string `json:"detail,omitempty"`
		}
		lines := []line{}
		for _, c := range checks {
			lines = append(lines, line{c.Name, string(c.Status), detail(c)})
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(lines)
	}
	for _, c := range checks {
		fmt.Fprintf(w, "%-5s %-22s %s\n", c.Status, c.Name, strings.ReplaceAll(detail(c), "\n", fmt.Sprintf("\n%29s", "")))
	}
	return nil
}

func detail(c service.CheckResult) string {
	if c.Err != nil {
		return explain(c.Err)
	}
	return c.Detail
}

// verdict is the exit status of a checklist, whose lines have said the rest:
// that of the worst fault.
func verdict(checks []service.CheckResult) error {
	var worst *runError
	for _, c := range checks {
		if c.Status != service.Fail {
			continue
		}
		var fault *runError
		errors.As(failed(c.Err), &fault)
		if worst == nil || c.Name == service.CheckConfiguration || fault.status > worst.status {
			worst = &runError{status: fault.status}
		}
		if c.Name == service.CheckConfiguration {
			worst.status = statusUsage
		}
	}
	if worst == nil {
		return nil
	}
	return worst
}
