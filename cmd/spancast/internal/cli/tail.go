package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/tail"
)

func newTail() *cobra.Command {
	o := tail.Options{Connect: []string{"tcp://127.0.0.1:5556"}, Topics: []string{""}}
	format := string(tail.Text)
	var keys clientKeys
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Subscribe, and print changes as they come",
		Long: "Subscribes to publishers and prints every change. Changes go to stdout, everything else to\n" +
			"stderr. With --verify it also watches counters and versions, and its exit status is 1 when\n" +
			"changes were lost or came out of order.",
		Example: "  spancast tail --topic Orders/\n  spancast tail --topic Orders/UPDATE/ --format json --count 10 --timeout 1m --verify",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Format = tail.Format(strings.ToLower(format)); o.Format != tail.Text && o.Format != tail.JSON {
				return fmt.Errorf("--format %q is not one of text, json", format)
			}
			if o.Count < 0 || o.Timeout < 0 {
				return errors.New("--count and --timeout cannot be less than 0")
			}
			var err error
			if o.Server, o.Own, err = keys.load(); err != nil {
				return misconfigured(err)
			}
			o.Out, o.Colour = cmd.OutOrStdout(), colours(os.Stdout)
			o.Log = loggerTo(os.Stderr, true, slog.LevelInfo)
			return tailResult(tail.Run(cmd.Context(), o))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Connect, "connect", o.Connect, "endpoint of a publisher or forwarder; may be repeated")
	f.StringSliceVar(&o.Topics, "topic", o.Topics, "topic prefix that ends in /; empty for everything; may be repeated")
	f.StringVar(&format, "format", format, "text, or json for a JSON object a line")
	f.IntVar(&o.Count, "count", 0, "end after so many changes; 0: never")
	f.DurationVar(&o.Timeout, "timeout", 0*time.Second, "end after this time; an error if --count changes have not come by then; 0: never")
	f.BoolVar(&o.Verify, "verify", false, "count losses, duplicates and disorder; they show in the exit status")
	keys.bind(f)
	return cmd
}

func tailResult(err error) error {
	if err == nil || errors.Is(err, tail.ErrTimeout) || errors.Is(err, tail.ErrFaults) {
		return failed(err)
	}
	return misconfigured(err)
}
