package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// patience is how long the beginning of a measurement may take: processes that
// start, partitions that are taken.
const patience = 60 * time.Second

// A run is a benchmark that runs.
type run struct {
	ctx    context.Context
	opt    Options
	cpu    io.Writer // of opt.Profile
	dir    string    // for files of the processes
	report *Report
	top    float64 // messages a second that one subscriber of 1 KB changes got; 0: not measured yet
}

// Run measures, and writes the profile that the options name to cpu. It returns
// what was measured so far with an error, and when ctx is done.
func Run(ctx context.Context, o Options, cpu io.Writer) (*Report, error) {
	dir, err := os.MkdirTemp("", "spancast-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{ctx: ctx, opt: o, cpu: cpu, dir: dir, report: newReport(o.Duration)}
	defer func() { r.report.Took = time.Since(r.report.Began).Round(time.Second).String() }()
	for _, s := range o.chosen() {
		if err := s.run(r); err != nil {
			r.report.Interrupted = ctx.Err() != nil
			if ctx.Err() != nil {
				return r.report, nil
			}
			return r.report, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return r.report, nil
}

// say tells what comes now.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.opt.Progress, "%7.1fs  %s\n", time.Since(r.report.Began).Seconds(), fmt.Sprintf(format, args...))
}

// table begins a table of the report. What is put into it is in the report at once.
func (r *run) table(name, title string, columns ...Column) *Table {
	t := &Table{Name: name, Title: title, Columns: columns}
	r.report.Tables = append(r.report.Tables, t)
	return t
}

// until waits for something that will happen.
func (r *run) until(what string, is func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		ok, err := is()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s in vain until %s", patience, what)
		}
		if err := r.pause(2 * time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *run) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-t.C:
		return nil
	}
}
