package emulator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Command is the emulator as a program: flags, and a Run that serves until its
// context ends. It is registered with a flag set, so that any command library
// can carry it:
//
//	command := emulator.NewCommand()
//	command.Flags(flags)
//	… parse …
//	err := command.Run(ctx, os.Stdout)
type Command struct {
	Options  Options
	Database string // created at the start; empty: none
	Dialect  string // of that database: googlesql or postgresql
	Schema   string // file with its DDL, statements ended by ";"
	Load     Load   // run when Rate is not 0
	Trouble  Trouble
	fail     string
}

// NewCommand is a Command with the defaults of a program: the port that
// clients of Spanner emulators expect.
func NewCommand() *Command {
	return &Command{Options: Options{Port: 9010}, Dialect: "googlesql"}
}

// Flags registers the command's flags.
func (c *Command) Flags(f *flag.FlagSet) {
	o, faults := &c.Options, &c.Options.Faults
	f.StringVar(&o.Host, "host", "127.0.0.1", "address to listen on; there is no authentication, so keep it on loopback or an isolated network")
	f.IntVar(&o.Port, "port", o.Port, "port to listen on; 0 takes a free one")
	f.StringVar(&c.Database, "database", "", "database to create at the start, projects/P/instances/I/databases/D")
	f.StringVar(&c.Dialect, "dialect", c.Dialect, "dialect of that database: googlesql or postgresql")
	f.StringVar(&c.Schema, "schema", "", "file with DDL for that database, statements ended by a semicolon")
	f.IntVar(&o.Partitions, "partitions", 2, "partitions that a change stream begins with")
	f.DurationVar(&o.ChurnEvery, "churn", 0, "interval at which partitions split, merge and move; 0: never")
	f.Float64Var(&o.ChurnLoad, "churn-load", 0, "changes a second at which a partition splits; 0: never")
	f.DurationVar(&o.MinHeartbeat, "min-heartbeat", time.Second, "shortest heartbeat interval that change stream queries may ask for")
	f.Int64Var(&o.MaxLogBytes, "max-log-bytes", 256<<20, "bytes of records kept for each change stream")
	f.IntVar(&c.Load.Rate, "load", 0, "synthetic records a second in the change stream --load-stream; 0: none, negative: as many as can be made")
	f.IntVar(&c.Load.Records, "load-records", 0, "records of the synthetic load in all; 0: no end")
	f.StringVar(&c.Load.Stream, "load-stream", "", "change stream that gets the synthetic load")
	f.StringVar(&c.Load.Table, "load-table", "", "table whose inserts the synthetic load shows")
	f.IntVar(&c.Load.TextBytes, "load-text-bytes", 100, "length of the text values of the synthetic load")
	f.IntVar(&c.Load.Mods, "load-mods", 1, "mods of each record of the synthetic load")
	f.IntVar(&c.Load.Keys, "load-keys", 0, "different rows that the synthetic load is about; 0: none comes twice")
	f.StringVar(&c.fail, "fail", "", "code that ends each change stream query, as UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL or RESOURCE_EXHAUSTED")
	f.IntVar(&faults.FailAfter, "fail-after", 0, "frames before --fail")
	f.IntVar(&faults.EndAfter, "end-after", 0, "frames after which each change stream query ends early, without an error; 0: none")
	f.DurationVar(&faults.FrameDelay, "frame-delay", 0, "wait before each frame of a change stream query")
	f.BoolVar(&faults.NoResumeTokens, "no-resume-tokens", false, "leave resume tokens out of change stream frames")
	f.BoolVar(&faults.ConstantResumeTokens, "constant-resume-tokens", false, "send one resume token on all frames, as Google's emulator does")
	f.BoolVar(&faults.OneRowPerFrame, "one-row-per-frame", false, "send each change record in a frame of its own")
	f.IntVar(&faults.RowsPerFrame, "rows-per-frame", 0, "most change records in a frame; 0: 64")
	f.IntVar(&faults.ChunkSize, "chunk-size", 0, "cut values longer than this many bytes; 0: 1 MiB")
	f.BoolVar(&faults.NoChildRecord, "no-child-record", false, "end partitions without child partitions records")
	f.BoolVar(&faults.Silent, "silent", false, "answer change stream queries with nothing, for ever")
	f.BoolVar(&faults.NullArrays, "null-arrays", false, "send NULL for the empty arrays of change records")
	f.BoolVar(&faults.NullParents, "null-parents", false, "send [NULL] as the parents of first partitions")
	f.BoolVar(&faults.SeparateChildren, "separate-children", false, "send a record for each child partition")
	f.DurationVar(&faults.TokenLife, "token-life", 0, "partition tokens expire this long after their partition began; 0: with retention")
	f.BoolVar(&faults.SharedTimestamps, "shared-timestamps", false, "let transactions on different rows share a commit timestamp")
	f.DurationVar(&faults.CommitDelay, "commit-delay", 0, "wait before each commit")
	f.IntVar(&faults.AbortEvery, "abort-every", 0, "abort every n-th commit; 0: none")
	f.DurationVar(&c.Trouble.RestartEvery, "restart-every", 0, "interval at which all connections break, as in a crash, with the data kept; 0: never")
	f.DurationVar(&c.Trouble.RestartFor, "restart-for", 0, "refuse connections this long at each --restart-every")
	f.DurationVar(&c.Trouble.StallEvery, "stall-every", 0, "interval at which every connection hangs for --stall-for; 0: never")
	f.DurationVar(&c.Trouble.StallFor, "stall-for", 0, "length of each stall")
}

// Validate says everything that is wrong with the flags, naming them.
func (c *Command) Validate() error {
	var faults []error
	if c.fail != "" {
		var code codes.Code
		if err := code.UnmarshalJSON([]byte(strconv.Quote(strings.ToUpper(c.fail)))); err != nil || code == codes.OK {
			faults = append(faults, fmt.Errorf("--fail: %q is not a gRPC error code", c.fail))
		}
		c.Options.Faults.Fail = code
	}
	if c.fail == "" && c.Options.Faults.FailAfter != 0 {
		faults = append(faults, errors.New("--fail-after needs --fail"))
	}
	if parts := strings.Split(c.Database, "/"); c.Database != "" && (len(parts) != 6 || parts[0] != "projects" || parts[2] != "instances" || parts[4] != "databases") {
		faults = append(faults, fmt.Errorf("--database: %q is not of the form projects/P/instances/I/databases/D", c.Database))
	}
	if c.Dialect != "googlesql" && c.Dialect != "postgresql" {
		faults = append(faults, fmt.Errorf("--dialect: %q is neither googlesql nor postgresql", c.Dialect))
	}
	if c.Schema != "" && c.Database == "" {
		faults = append(faults, errors.New("--schema needs --database"))
	}
	if c.Load.Rate != 0 && (c.Database == "" || c.Load.Stream == "" || c.Load.Table == "") {
		faults = append(faults, errors.New("--load needs --database, --load-stream and --load-table"))
	}
	values := findings{name: byFlag}
	c.Options.check(&values)
	c.Load.check(&values)
	return errors.Join(append(faults, c.Trouble.validate(), values.join())...)
}

// Run starts the emulator, says on out where it listens, makes the load if one
// was asked for, and returns when the context ends.
func (c *Command) Run(ctx context.Context, out io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	s, err := Start(ctx, c.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if c.Database != "" {
		if err := c.create(s); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "Spanner emulator on %s\nexport SPANNER_EMULATOR_HOST=%s\n", s.Addr(), reachable(s.Addr()))
	return c.serve(ctx, s, out)
}

// serve makes trouble and load, and returns when the context ends or one of
// them cannot go on.
func (c *Command) serve(ctx context.Context, s *Server, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	trouble := make(chan error, 1)
	go func() {
		err := c.Trouble.run(ctx, s)
		if err != nil {
			cancel()
		}
		trouble <- err
	}()
	err := c.load(ctx, s, out)
	cancel()
	return errors.Join(<-trouble, err)
}

// reachable is an address that clients on this machine can connect to.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

func (c *Command) load(ctx context.Context, s *Server, out io.Writer) error {
	if c.Load.Rate == 0 {
		<-ctx.Done()
		return nil
	}
	load := c.Load
	load.Database, load.Rate = c.Database, max(load.Rate, 0)
	fmt.Fprintf(out, "load begins at %s\n", s.Now().UTC().Format(time.RFC3339Nano))
	made, err := s.Load(ctx, load)
	if err == nil {
		fmt.Fprintf(out, "made %d records by %s\n", made, s.Now().UTC().Format(time.RFC3339Nano))
		<-ctx.Done() // they stay to be read
	}
	return err
}

func (c *Command) create(s *Server) error {
	var ddl []string
	if c.Schema != "" {
		text, err := os.ReadFile(c.Schema)
		if err != nil {
			return fmt.Errorf("--schema: %w", err)
		}
		ddl = statements(string(text))
	}
	dialect := GoogleSQL
	if c.Dialect == "postgresql" {
		dialect = PostgreSQL
	}
	err := s.CreateDatabase(c.Database, dialect, ddl...)
	if err != nil && c.Schema != "" {
		return fmt.Errorf("--schema %s: %w", c.Schema, err)
	}
	return err
}
