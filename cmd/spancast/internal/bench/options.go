package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Options of a benchmark.
type Options struct {
	Binary   string        // spancast, of which all processes are
	Only     []string      // names of sections; empty: those of a short run
	Full     bool          // all sections, and all their rows
	Duration time.Duration // of each measurement
	Rate     int           // of the latency section, in changes a second; 0: parts of the top rate
	Profile  string        // file for a CPU profile of serve, made after the throughput section; empty: none
	Progress io.Writer     // where to say what is being measured
}

// A section is a table of the report.
type section struct {
	name  string
	about string
	short bool // part of a short run
	run   func(*run) error
}

func sections() []section {
	return []section{
		{"path", "the record path alone, on one core", true, (*run).path},
		{"throughput", "Spanner to subscriber, beside bare libzmq and the plain way", true, (*run).throughput},
		{"latency", "commit to subscriber, at parts of the top rate", true, (*run).latency},
		{"subscribers", "1 to 256 subscribers", false, (*run).subscribers},
		{"features", "CURVE, telemetry, rules", false, (*run).features},
		{"partitions", "1 to 1,000 partitions", false, (*run).partitions},
		{"subscriptions", "1 to 100,000 subscriptions", false, (*run).subscriptions},
		{"topics", "1 to 1,000,000 topics", false, (*run).topics},
		{"idle", "memory of a replica that has nothing to do", false, (*run).idle},
	}
}

// Sections describes what there is to measure, a line each.
func Sections() string {
	var b strings.Builder
	for _, s := range sections() {
		fmt.Fprintf(&b, "  %-14s %s\n", s.name, s.about)
	}
	return b.String()
}

// Validate says everything that is wrong with the options.
func (o *Options) Validate() error {
	var faults []error
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	for _, name := range o.Only {
		if !slices.Contains(names, name) {
			faults = append(faults, fmt.Errorf("--only %q is not one of %s", name, strings.Join(names, ", ")))
		}
	}
	if o.Duration < 100*time.Millisecond || o.Duration > 10*time.Minute {
		faults = append(faults, fmt.Errorf("--duration %s is not between 100ms and 10m", o.Duration))
	}
	if o.Rate < 0 || o.Rate > 10_000_000 {
		faults = append(faults, fmt.Errorf("--rate %d is not between 0 (parts of the top rate) and 10000000", o.Rate))
	}
	if o.Rate > 0 && !o.measures("latency") {
		faults = append(faults, fmt.Errorf("--rate %d is of the latency section, which is not measured: add --only latency, or leave --rate out", o.Rate))
	}
	if o.Profile != "" && !o.measures("throughput") {
		faults = append(faults, fmt.Errorf("--profile %s is made after the throughput section, which is not measured: add --only throughput, or leave --profile out", o.Profile))
	}
	return errors.Join(faults...)
}

// measures tells whether a section is one of those to run.
func (o *Options) measures(name string) bool {
	return slices.ContainsFunc(o.chosen(), func(s section) bool { return s.name == name })
}

// chosen are the sections to run.
func (o *Options) chosen() []section {
	return slices.DeleteFunc(sections(), func(s section) bool {
		if len(o.Only) > 0 {
			return !slices.Contains(o.Only, s.name)
		}
		return !s.short && !o.Full
	})
}
