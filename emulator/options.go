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
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(o.Port >= 0 && o.Port <= 65535, "Port: %d is not between 0 and 65535", o.Port)
	check(o.Partitions >= 0 && o.Partitions <= 1000, "Partitions: %d is not between 1 and 1000", o.Partitions)
	check(o.ChurnEvery >= 0 && (o.ChurnEvery == 0 || o.ChurnEvery >= 10*time.Millisecond), "ChurnEvery: %s is shorter than 10ms", o.ChurnEvery)
	check(o.ChurnLoad >= 0, "ChurnLoad: %g is negative", o.ChurnLoad)
	check(o.MinHeartbeat >= 0 && o.MinHeartbeat <= 5*time.Minute, "MinHeartbeat: %s is not between 0 and 5m", o.MinHeartbeat)
	check(o.MaxLogBytes >= 0 && (o.MaxLogBytes == 0 || o.MaxLogBytes >= 1<<20), "MaxLogBytes: %d is less than 1 MiB", o.MaxLogBytes)
	check(o.VersionRetention >= 0, "VersionRetention: %s is negative", o.VersionRetention)
	check(o.MaxVersions >= 0, "MaxVersions: %d is negative", o.MaxVersions)
	check(o.Faults.FailAfter >= 0, "Faults.FailAfter: %d is negative", o.Faults.FailAfter)
	check(o.Faults.EndAfter >= 0, "Faults.EndAfter: %d is negative", o.Faults.EndAfter)
	check(o.Faults.AbortEvery >= 0 && o.Faults.AbortEvery != 1, "Faults.AbortEvery: %d would abort every commit; 2 aborts every other", o.Faults.AbortEvery)
	check(o.Faults.ChunkSize >= 0, "Faults.ChunkSize: %d is negative", o.Faults.ChunkSize)
	check(o.Faults.CommitDelay >= 0 && o.Faults.FrameDelay >= 0 && o.Faults.TokenLife >= 0, "Faults: a duration is negative")
	return errors.Join(faults...)
}

func (o Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }
