package emulator

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Options choose how a Server runs. The zero value is good for tests.
type Options struct {
	// Host to listen on; 127.0.0.1 when empty. There is no authentication, so
	// other than loopback addresses are for isolated networks only.
	Host string
	// Port to listen on; 0 takes a free one.
	Port int
	// Partitions that a change stream begins with; 2 when 0, at most 1000.
	Partitions int
	// ChurnEvery makes the partitions of each stream end at this interval: in
	// turn one splits, or two merge, and the others move. 0: never.
	ChurnEvery time.Duration
	// ChurnLoad splits a partition that gets more changes a second than this,
	// and merges neighbours that together get less than a quarter. 0: never.
	ChurnLoad float64
	// MinHeartbeat is the shortest heartbeat_milliseconds that queries may ask
	// for; Cloud Spanner's 1 s when 0.
	MinHeartbeat time.Duration
	// MaxLogBytes bounds the memory of the records of each change stream; the
	// oldest go first, as if retention had passed. 256 MiB when 0.
	MaxLogBytes int64
	// VersionRetention is how long old row versions can be read, 1 h when 0,
	// and MaxVersions how many are kept, 1,000,000 when 0.
	VersionRetention time.Duration
	MaxVersions      int
	// Clock gives the time; the system's when nil. It must not go back.
	Clock func() time.Time
	// Faults in force from the start.
	Faults Faults
	// Log gets what the emulator has to say, which is little; discarded when nil.
	Log *slog.Logger
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Partitions == 0 {
		o.Partitions = 2
	}
	if o.MinHeartbeat == 0 {
		o.MinHeartbeat = time.Second
	}
	if o.MaxLogBytes == 0 {
		o.MaxLogBytes = 256 << 20
	}
	if o.VersionRetention == 0 {
		o.VersionRetention = time.Hour
	}
	if o.MaxVersions == 0 {
		o.MaxVersions = 1_000_000
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate says everything that is wrong with the options, naming the fields.
func (o Options) Validate() error {
	f := findings{name: byField}
	o.check(&f)
	return f.join()
}

func (o Options) check(f *findings) {
	f.check(o.Port >= 0 && o.Port <= 65535, "Port", "port", "%d is not between 0 and 65535", o.Port)
	f.check(o.Partitions >= 0 && o.Partitions <= 1000, "Partitions", "partitions", "%d is not between 1 and 1000", o.Partitions)
	f.check(o.ChurnEvery >= 0 && (o.ChurnEvery == 0 || o.ChurnEvery >= 10*time.Millisecond), "ChurnEvery", "churn", "%s is shorter than 10ms", o.ChurnEvery)
	f.check(o.ChurnLoad >= 0, "ChurnLoad", "churn-load", "%g is negative", o.ChurnLoad)
	f.check(o.MinHeartbeat >= 0 && o.MinHeartbeat <= 5*time.Minute, "MinHeartbeat", "min-heartbeat", "%s is not between 0 and 5m", o.MinHeartbeat)
	f.check(o.MaxLogBytes >= 0 && (o.MaxLogBytes == 0 || o.MaxLogBytes >= 1<<20), "MaxLogBytes", "max-log-bytes", "%d is less than 1 MiB", o.MaxLogBytes)
	f.check(o.VersionRetention >= 0, "VersionRetention", "", "%s is negative", o.VersionRetention)
	f.check(o.MaxVersions >= 0, "MaxVersions", "", "%d is negative", o.MaxVersions)
	f.check(o.Faults.FailAfter >= 0, "Faults.FailAfter", "fail-after", "%d is negative", o.Faults.FailAfter)
	f.check(o.Faults.EndAfter >= 0, "Faults.EndAfter", "end-after", "%d is negative", o.Faults.EndAfter)
	f.check(o.Faults.AbortEvery >= 0 && o.Faults.AbortEvery != 1, "Faults.AbortEvery", "abort-every", "%d would abort every commit; 2 aborts every other", o.Faults.AbortEvery)
	f.check(o.Faults.ChunkSize >= 0, "Faults.ChunkSize", "chunk-size", "%d is negative", o.Faults.ChunkSize)
	f.check(o.Faults.CommitDelay >= 0, "Faults.CommitDelay", "commit-delay", "%s is negative", o.Faults.CommitDelay)
	f.check(o.Faults.FrameDelay >= 0, "Faults.FrameDelay", "frame-delay", "%s is negative", o.Faults.FrameDelay)
	f.check(o.Faults.TokenLife >= 0, "Faults.TokenLife", "token-life", "%s is negative", o.Faults.TokenLife)
}

// findings are faults, by names that whoever has set the values knows: a program
// its fields, somebody at a terminal the flags.
type findings struct {
	name func(field, flag string) string
	all  []error
}

func byField(field, _ string) string { return field }

func byFlag(field, flag string) string {
	if flag == "" { // there is none; a program has set it
		return field
	}
	return "--" + flag
}

func (f *findings) check(ok bool, field, flag, format string, args ...any) {
	if !ok {
		f.all = append(f.all, fmt.Errorf("%s: %s", f.name(field, flag), fmt.Sprintf(format, args...)))
	}
}

func (f *findings) join() error { return errors.Join(f.all...) }

func (o Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }
