package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/cmd/spancast/internal/bench"
	"github.com/spancast/spancast/cmd/spancast/internal/bench/part"
)

func newBench() *cobra.Command {
	o := bench.Options{Duration: 2 * time.Second}
	var asJSON bool
	var picture string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the speed of this machine",
		Long: "Measures what Spancast can do here: the record path alone, from Spanner to a subscriber, and the\n" +
			"time from a commit to a subscriber; each beside its limit (gRPC that only receives, libzmq that\n" +
			"only sends the same frames) and beside the plain way (spanner.Client with ToStruct, and\n" +
			"SendMessage). Spanner is the embedded one, everything stays on the loopback interface. A short\n" +
			"run takes a minute or two; Ctrl-C ends it with what there is so far. Sections:\n\n" + bench.Sections(),
		Example: "  spancast bench\n  spancast bench --full --json --svg bench.svg >bench.json\n  spancast bench --only path --only latency --duration 10s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			var err error
			if o.Binary, err = os.Executable(); err != nil {
				return failed(err)
			}
			o.Progress = cmd.ErrOrStderr()
			// What is wrong with a file is said before the minutes have passed.
			svg, err := newFile("--svg", picture)
			if err != nil {
				return err
			}
			defer svg.Close()
			cpu, err := newFile("--profile", o.Profile)
			if err != nil {
				return err
			}
			defer cpu.Close()
			report, err := bench.Run(cmd.Context(), o, cpu)
			if report != nil {
				err = errors.Join(err, writeReport(cmd, report, asJSON, svg))
			}
			return failed(err)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Only, "only", nil, "sections to measure, instead of path, throughput and latency")
	f.BoolVar(&o.Full, "full", false, "measure every section with all its rows, for a quarter of an hour")
	f.DurationVar(&o.Duration, "duration", o.Duration, "length of each measurement")
	f.IntVar(&o.Rate, "rate", 0, "changes a second of the latency section, instead of parts of the top rate")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.StringVar(&picture, "svg", "", "file for a picture of it")
	f.StringVar(&o.Profile, "profile", "", "file for a CPU profile of serve at the top rate, for go tool pprof and go build -pgo; with the throughput section")
	return cmd
}

// newFile creates the file that a flag names, if it names one.
func newFile(flag, name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, misconfigured(fmt.Errorf("%s: %w", flag, err))
	}
	return f, nil
}

func writeReport(cmd *cobra.Command, r *bench.Report, asJSON bool, svg *os.File) error {
	write := r.WriteText
	if asJSON {
		write = r.WriteJSON
	}
	err := write(cmd.OutOrStdout())
	if svg != nil {
		err = errors.Join(err, r.WriteSVG(svg))
	}
	return err
}

// newBenchPart is a process of a benchmark.
func newBenchPart() *cobra.Command {
	return &cobra.Command{
		Use: "bench-part ROLE", Short: "A process that spancast bench starts", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return failed(part.Main(cmd.Context(), part.Role(args[0]), cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
}
