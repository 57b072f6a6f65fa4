// Package cli is the command line of spancast: one file a command.
//
// Commands return errors; Main turns them into a line on stderr and an exit
// status: 0 fine, 1 failed while running, 2 wrong usage or configuration.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// Main runs the command that the arguments name and returns its exit status.
func Main(args []string) int {
	ctx, stop := untilSignal()
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusOK
	}
	var ran *runError
	if !errors.As(err, &ran) { // cobra's own: flags, arguments, unknown commands
		fmt.Fprintf(os.Stderr, "%s: %v\nRun '%s --help' for usage.\n", cmd.CommandPath(), err, cmd.CommandPath())
		return statusUsage
	}
	if ran.err != nil && ctx.Err() != nil && canceled(ran.err) {
		fmt.Fprintf(os.Stderr, "%s: interrupted\n", cmd.CommandPath()) // what was waited for is not to blame
		return ran.status
	}
	if ran.err != nil {
		for line := range strings.Lines(explain(ran.err)) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", cmd.CommandPath(), strings.TrimRight(line, "\n"))
		}
	}
	return ran.status
}

// canceled tells whether an error is that of a context that has ended.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. A second
// ends the process at once. A terminal that is closed (SIGHUP) counts as well;
// where there is none SIGHUP ends nothing, see followSignals.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if isTerminal(os.Stderr) {
		ends = append(ends, syscall.SIGHUP)
	}
	signal.Notify(signals, ends...)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(statusFailed)
	}()
	return ctx, cancel
}

// A runError is an error of a command that was called rightly.
type runError struct {
	err    error // nil when everything has been said
	status int
}

func (e *runError) Error() string { return fmt.Sprint(e.err) }

func (e *runError) Unwrap() error { return e.err }

// failed marks an error as one of running; what the configuration names and
// does not exist is one of configuration.
func failed(err error) error {
	if err == nil {
		return nil
	}
	switch changestream.CauseOf(err) {
	case changestream.NoDatabase, changestream.NoStream, changestream.NoTables, changestream.OldTables, changestream.PositionTooOld:
		return &runError{err, statusUsage}
	}
	return &runError{err, statusFailed}
}

// misconfigured marks an error as one of configuration.
func misconfigured(err error) error {
	if err == nil {
		return nil
	}
	return &runError{err, statusUsage}
}

const places = " SPANCAST_SPANNER_ENDPOINT, SPANCAST_METADATA_ENDPOINT or SPANNER_EMULATOR_HOST, and that Spanner is there"

// explain adds the way out to errors that have one.
func explain(err error) string {
	text := err.Error()
	if strings.Contains(text, "HTTP status") { // what gRPC says of an answer that is not gRPC's
		return text + "; whoever answers is not Spanner; check" + places
	}
	switch changestream.CauseOf(err) {
	case changestream.NoDatabase:
		return text + "; correct SPANCAST_DATABASE, or create it (on an emulator: spancast admin bootstrap)"
	case changestream.NoStream:
		return text + "; correct SPANCAST_CHANGE_STREAM, or create it: spancast admin bootstrap --watch ALL"
	case changestream.NoTables:
		return text + "; create the metadata tables: spancast admin bootstrap (SPANCAST_METADATA_DATABASE and SPANCAST_METADATA_PREFIX say where)"
	case changestream.OldTables:
		return text + "; the metadata tables are of an earlier version: spancast admin bootstrap adds what they lack"
	case changestream.Denied:
		if status.Code(err) == codes.Unauthenticated {
			return text + "; check the application default credentials: the file that GOOGLE_APPLICATION_CREDENTIALS names, or gcloud auth application-default login"
		}
		return text + "; spancast admin bootstrap --print shows the grants that are needed"
	case changestream.Unreachable:
		return text + "; check" + places
	case changestream.PositionTooOld:
		return text + "; set SPANCAST_START_AT to a time that the change stream still keeps"
	case changestream.Transient:
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled: // in words of gRPC
			return text + "; Spanner did not answer; check" + places
		}
	}
	return text
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "spancast",
		Short: "Publish the changes of a Cloud Spanner change stream over ZeroMQ",
		Long: "Spancast reads a Cloud Spanner change stream and publishes every row change over ZeroMQ.\n" +
			"It is configured by environment variables (spancast config lists them); flags of the\nsame names override them.",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	cfg := config.Load()
	root.AddCommand(newServe(cfg), newDemo(), newTail(), newForward(cfg), newEmulator(), newAdmin(cfg), newStatus(cfg), newTop(cfg), newValidate(cfg), newKeygen(), newEnroll(), newConfig(cfg), newBench(), newBenchPart(), newVersion())
	return root
}

// checked returns what fails unless the configuration has no faults and has the
// variables that are needed.
func checked(cfg *config.Loaded, needs ...string) error {
	return misconfigured(cfg.Validate(needs...))
}
