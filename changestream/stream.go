package changestream

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// GapPolicy says what to do with a partition whose position is older than what
// the stream keeps.
type GapPolicy string

// The gap policies.
const (
	GapStop GapPolicy = "stop" // leave the partition where it is
	GapSkip GapPolicy = "skip" // go on at the oldest time that can be read
)

// A Gap is a time of a partition that cannot be had any more.
type Gap struct {
	Partition PartitionToken
	From, To  time.Time // To is exclusive, and an estimate when the partition stopped
	Policy    GapPolicy
}

// Options set how a stream is read. All are needed unless they say otherwise.
type Options struct {
	Info Info   // from Describe
	Dial Dialer // opens connections for queries
	Role string // database role; may be empty

	Replica Replica // who reads; ID must be new for every process
	Store   Store
	// NewSink makes the sink of a partition that is about to be read.
	NewSink func(Partition) Sink
	// Drained waits until everything that sinks were given has been published.
	Drained func(context.Context) error
	// OnGap is called for every gap, from one goroutine.
	OnGap func(Gap)

	// Start says where to begin when the store has no partitions yet, given
	// the store's time.
	Start       func(now time.Time) time.Time
	OnGapPolicy GapPolicy
	// End is where to stop, exclusive: Run returns when everything before it
	// was read and published. The zero time is never.
	End time.Time
	// Keep is how long finished partitions stay in the store, for people to
	// look at; 0: an hour.
	Keep time.Duration

	QueryWindow        time.Duration // length of one query
	Heartbeat          time.Duration // 1 s to 5 min; Google's emulator takes 100 ms
	CheckpointInterval time.Duration // how often positions are saved
	CheckpointLag      time.Duration // how far they trail what was published
	Lease              time.Duration // how long a partition is held without renewal
	DrainTimeout       time.Duration // most time that a shutdown may take
	MaxPartitions      int           // most partitions to own; 0: no limit
	Gate               bool          // see GraphOptions

	Log *slog.Logger
}

// A Stream reads a change stream, together with the other replicas that use
// the same store.
type Stream struct {
	opt   Options
	src   *source
	stats Stats
	now   atomic.Pointer[standing]
}

// maxMutableWindow keeps queries of MUTABLE_KEY_RANGE streams within the 30
// minutes that Spanner takes, whatever the clocks do.
const maxMutableWindow = 29 * time.Minute

// New prepares to read a stream. It does not connect.
func New(o Options) (*Stream, error) {
	if o.Info.MutableKeyRange {
		o.QueryWindow = min(o.QueryWindow, maxMutableWindow)
	}
	s := &Stream{opt: o}
	s.src = &source{
		info: o.Info, conns: newConns(o.Dial, o.Info.Database, o.Role), end: o.End,
		heartbeat: o.Heartbeat, window: o.QueryWindow, stats: &s.stats, log: o.Log,
	}
	return s, nil
}

// Stats are the stream's counters, live.
func (s *Stream) Stats() *Stats { return &s.stats }

// Run reads until ctx is done, the end that was set, or nothing can be read any
// more; an error says why. It then stops reading, waits until what it read was published, saves the
// positions and gives its partitions to others.
func (s *Stream) Run(ctx context.Context) error {
	defer s.src.conns.close()
	return newScheduler(s).run(ctx)
}

// Probe asks for the partitions there are now, to see that the stream can be
// read. It is for a stream that is not run.
func (s *Stream) Probe(ctx context.Context) (partitions int, err error) {
	defer s.src.conns.close()
	roots, err := s.src.roots(ctx, time.Now().Truncate(time.Microsecond))
	return len(roots), err
}

// keepFinished is the default of Options.Keep.
const keepFinished = time.Hour

// A standing is what a replica knew of all partitions at one moment. Resolved
// times come from it without a lock.
type standing struct {
	own    []*Progress // partitions that this replica reads
	others time.Time   // lowest position of those that it does not read
	some   bool        // whether there are such
	stuck  []string    // what is wrong, for people

	replicas []Replica // of the fleet
	ended    []string  // epochs of those that have ended lately
}

// Resolved returns up to when (exclusive) every change was published: by this
// replica, of the partitions that it owns, and by the whole fleet. It is zero
// while that is not known.
func (s *Stream) Resolved() (own, fleet time.Time) {
	st := s.now.Load()
	if st == nil {
		return own, fleet
	}
	for _, p := range st.own {
		if at := p.Position(); own.IsZero() || at.Before(own) {
			own = at
		}
	}
	fleet = own
	if st.some && (fleet.IsZero() || st.others.Before(fleet)) {
		fleet = st.others
	}
	return own, fleet
}

// Owned is the number of partitions that this replica reads.
func (s *Stream) Owned() int {
	if st := s.now.Load(); st != nil {
		return len(st.own)
	}
	return 0
}

// Replicas are those of the fleet that were seen lately.
func (s *Stream) Replicas() []Replica {
	if st := s.now.Load(); st != nil {
		return st.replicas
	}
	return nil
}

// Ended are the epochs of replicas that have ended in order lately, whether they
// were ever seen or not.
func (s *Stream) Ended() []string {
	if st := s.now.Load(); st != nil {
		return st.ended
	}
	return nil
}

// Trouble lists what keeps the stream from being read as a whole, a sentence
// each; empty when all is well.
func (s *Stream) Trouble() []string {
	st := s.now.Load()
	if st == nil {
		return []string{"the partitions are not known yet"}
	}
	return st.stuck
}
