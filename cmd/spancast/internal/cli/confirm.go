package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// A consent is what a dangerous command needs before it does anything.
type consent struct{ yes, dryRun bool }

// flags adds the flags of a dangerous command: where the metadata tables are, its
// own, and the consent.
func (c *consent) flags(cfg *config.Loaded, cmd *cobra.Command, own func(*pflag.FlagSet)) {
	f := cmd.Flags()
	cfg.BindFlags(f, metadataVariables...)
	f.SortFlags = false
	own(f)
	f.BoolVar(&c.yes, "yes", false, "do it without asking")
	f.BoolVar(&c.dryRun, "dry-run", false, "say what would be done, and do nothing")
}

var errNotConfirmed = errors.New("nothing was done; --yes does it without asking, --dry-run only says what would be done")

// given tells whether to go on, after what is about to happen has been said.
// Without --yes somebody at a terminal is asked; elsewhere that is an error.
func (c *consent) given(cmd *cobra.Command) (bool, error) {
	switch {
	case c.dryRun:
		fmt.Fprintln(cmd.OutOrStdout(), "dry run: nothing was done")
		return false, nil
	case c.yes:
		return true, nil
	case !isTerminal(os.Stdin):
		return false, misconfigured(errNotConfirmed)
	}
	return confirmed(cmd.InOrStdin(), cmd.ErrOrStderr())
}

func confirmed(in io.Reader, out io.Writer) (bool, error) {
	fmt.Fprint(out, "Go on? Type yes: ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if strings.TrimSpace(answer) == "yes" {
		return true, nil
	}
	if err != nil && err != io.EOF {
		return false, failed(err)
	}
	return false, failed(errNotConfirmed)
}
