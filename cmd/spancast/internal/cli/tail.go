package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/tail"
	"github.com/spancast/spancast/subscriber"
)

func newTail() *cobra.Command {
	o := tail.Options{Connect: []string{"tcp://127.0.0.1:5556"}, Topics: []string{""}}
	format, since := string(tail.Text), ""
	var keys clientKeys
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Subscribe, and print changes as they come",
		Long: "Subscribes to publishers and prints every change once, in the order of its key. What is lost on\n" +
			"the way is fetched from the recovery endpoint, which the publishers name. Changes go to stdout,\n" +
			"everything else to stderr. With --verify the exit status is 1 when changes were lost and could\n" +
			"not be recovered, came twice, or out of order.",
		Example: "  spancast tail --topic Orders/\n  spancast tail --topic Orders/UPDATE/ --since 10m --format json --count 10 --timeout 1m --verify\n" +
			"  spancast tail --enroll https://spancast.example.com --token metadata --token-audience spancast --topic Orders/",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Format = tail.Format(strings.ToLower(format)); o.Format != tail.Text && o.Format != tail.JSON {
				return fmt.Errorf("--format %q is not one of text, json", format)
			}
			if o.Count < 0 || o.Timeout < 0 {
				return errors.New("--count and --timeout cannot be less than 0")
			}
			if len(o.Tables) > 0 && !o.Snapshot {
				return errors.New("--table is for --snapshot; the changes of a table are chosen by --topic")
			}
			if o.Snapshot && since != "" {
				return errors.New("--snapshot and --since do not go together: after the rows come the changes since they were read")
			}
			if err := inADirectory(o.Cursor); err != nil {
				return misconfigured(err)
			}
			var err error
			if o.Since, err = sinceOf(since); err != nil {
				return err
			}
			if o.Server, o.Own, err = keys.load(); err != nil {
				return misconfigured(err)
			}
			if o.Enroll, err = keys.enrolment(); err != nil {
				return misconfigured(err)
			}
			if o.Enroll != nil && !cmd.Flags().Changed("connect") {
				o.Connect = nil // the grant says where
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(50) // memory is worth more than time to who watches
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
	f.StringVar(&since, "since", "", "begin this long ago, or at this time (RFC 3339); without it: now")
	f.BoolVar(&o.Snapshot, "snapshot", false, "print the rows that there are, before the changes")
	f.StringSliceVar(&o.Tables, "table", nil, "table of the snapshot; may be repeated; without it all that the change stream watches")
	f.BoolVar(&o.Follow, "follow", false, "take all changes from the recovery endpoint instead of those that are published")
	f.StringSliceVar(&o.Recover, "recover", nil, "recovery endpoint, besides those that the publishers name; may be repeated")
	f.StringVar(&o.Cursor, "cursor", "", "file that keeps the position, to go on from there the next time")
	f.StringVar(&format, "format", format, "text, or json for a JSON object a line")
	f.IntVar(&o.Count, "count", 0, "end after so many changes; 0: never")
	f.DurationVar(&o.Timeout, "timeout", 0*time.Second, "end after this time; an error if --count changes have not come by then; 0: never")
	f.BoolVar(&o.Verify, "verify", false, "count losses, duplicates and disorder; what is not as it should be shows in the exit status")
	keys.bind(f)
	return cmd
}

// inADirectory tells at once that a cursor could never be saved.
func inADirectory(cursor string) error {
	if cursor == "" {
		return nil
	}
	if info, err := os.Stat(cursor); err == nil && info.IsDir() {
		return fmt.Errorf("--cursor: %s is a directory; name a file in it", cursor)
	}
	if info, err := os.Stat(filepath.Dir(cursor)); err != nil {
		return fmt.Errorf("--cursor: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("--cursor: %s is not a directory", filepath.Dir(cursor))
	}
	return nil
}

// sinceOf reads a duration back, or a time.
func sinceOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("--since %q is neither a duration, such as 10m, nor a time, such as 2026-11-20T09:54:00Z", text)
	}
	return t, nil
}

// tailResult tells failures from what is wrong with the options.
func tailResult(err error) error {
	for _, failure := range []error{tail.ErrTimeout, tail.ErrFaults, subscriber.ErrRefused, subscriber.ErrUnreachable} {
		if errors.Is(err, failure) {
			return failed(err)
		}
	}
	return misconfigured(err)
}
