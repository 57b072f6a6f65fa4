package cli

import (
	"bufio"
	"context"
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
	return confirmed(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
}

// confirmed asks, until there is an answer or ctx is done. Who does not answer
// leaves a goroutine behind that reads, and ends with the process.
func confirmed(ctx context.Context, in io.Reader, out io.Writer) (bool, error) {
	fmt.Fprint(out, "Go on? Type yes: ")
	type line struct {
		text string
		err  error
	}
	answer := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(in).ReadString('\n')
		answer <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, failed(errNotConfirmed)
	case l := <-answer:
		if strings.TrimSpace(l.text) == "yes" {
			return true, nil
		}
		if l.err != nil {
			fmt.Fprintln(out) // the question has no end of line yet
		}
		if l.err != nil && l.err != io.EOF {
			return false, failed(l.err)
		}
		return false, failed(errNotConfirmed)
	}
}
