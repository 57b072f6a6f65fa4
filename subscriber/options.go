package subscriber

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spancast/spancast/message"
)

// Options of a Subscriber. What is left out has the value of the comment.
type Options struct {
	// Connect are endpoints where publishers or forwarders publish; at least
	// one here or in Recover. The others of the fleet are learned from these.
	Connect []string
	// Recover are recovery endpoints, besides those that the publishers name.
	Recover []string
	// Topics are prefixes, each empty (everything) or ending in '/'; none: everything.
	Topics []string

	// Cursor keeps the position over restarts; none: every start is the first.
	Cursor Cursor
	// CursorInterval is how often the position is saved, besides at the end; 1 s.
	CursorInterval time.Duration
	// Since is the commit timestamp from which changes are wanted when the
	// cursor has no position; zero: from the start of the subscription.
	Since time.Time
	// Snapshot asks, when the cursor has no position, for the rows of Tables
	// (none: all that the change stream watches) before the changes.
	Snapshot bool
	Tables   []string
	// Follow takes all changes from the recovery endpoint, as they are
	// committed, instead of those that are published: nothing can be dropped,
	// and the server has to send each follower his own.
	Follow bool

	// ServerKey is the public key of the publishers and SecretKey our own, both in
	// Z85 (40 characters); needed when they use CURVE, otherwise both are empty.
	ServerKey string
	SecretKey string

	// Enroll gets us in by an ID token: Connect, Recover and ServerKey are learned
	// then, and a SecretKey is made if there is none. An identity can have ten keys
	// at once: whoever starts often should keep one.
	Enroll *Enrolment

	// OnGap is told of what cannot be recovered. An error ends Run; none, or no
	// OnGap, goes on behind the gap.
	OnGap func(Gap) error
	// OnLive is told when changes come as they happen: after the start, and
	// after each recovery. It must not block.
	OnLive func()

	// Buffer bounds what is held, in bytes, of changes that are published while
	// a replay runs; 32 MiB. What is more is left to another replay.
	Buffer int64
	// Remember bounds the versions that are remembered, at up to 32 bytes each,
	// to leave out duplicates; 524,288. It should be more than come in the time
	// that the resolved timestamp is behind.
	Remember int
	// Queue bounds the messages that wait in the SUB socket; 20,000.
	Queue int
	// Credit bounds what the recovery endpoint may send ahead; 10,000 messages
	// and 4 MiB.
	Credit message.Credit

	// Silence is how long a publisher may be silent before a replay brings what
	// it may have published; 5 s, and not less than three times the service's
	// SPANCAST_RESOLVED_INTERVAL.
	Silence time.Duration
	// JoinTimeout is how long the publishers have to answer at the start; 2 s.
	JoinTimeout time.Duration
	// AnswerTimeout is how long a recovery endpoint may be silent; 5 s.
	AnswerTimeout time.Duration
	// RecoveryTimeout is how long recovery is tried before OnGap is told; 1 min. It
	// is AnswerTimeout as long as no recovery endpoint has ever answered, unless
	// something is wanted from before the start; and nothing for a minute (this
	// time) when this identity may not ask.
	RecoveryTimeout time.Duration

	// Clock gives the local monotonic time; time.Now.
	Clock func() time.Time
	Log   *slog.Logger // discarded when nil
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if len(o.Topics) == 0 {
		o.Topics = []string{""}
	}
	for field, value := range map[*time.Duration]time.Duration{
		&o.CursorInterval: time.Second, &o.Silence: 5 * time.Second, &o.JoinTimeout: 2 * time.Second,
		&o.AnswerTimeout: 5 * time.Second, &o.RecoveryTimeout: time.Minute,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Buffer == 0 {
		o.Buffer = 32 << 20
	}
	if o.Remember == 0 {
		o.Remember = 1 << 19
	}
	if o.Queue == 0 {
		o.Queue = 20_000
	}
	if o.Credit == (message.Credit{}) {
		o.Credit = message.Credit{Messages: 10_000, Bytes: 4 << 20}
	}
	if o.OnGap == nil {
		o.OnGap = func(Gap) error { return nil }
	}
	if o.OnLive == nil {
		o.OnLive = func() {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate says everything that is wrong, naming the fields.
func (o *Options) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	if o.Enroll != nil {
		err := o.Enroll.check()
		check(err == nil, "Enroll: %w", err)
		check(o.ServerKey == "", "ServerKey, Enroll: one makes the other needless")
	}
	check(len(o.Connect)+len(o.Recover) > 0 || o.Enroll != nil, "Connect, Recover: no endpoint; one looks like tcp://127.0.0.1:5556")
	check(len(o.Connect) > 0 || o.Follow || o.Enroll != nil, "Connect: no endpoint, which only a follower can do without")
	check(o.Since.IsZero() || !o.Snapshot, "Since, Snapshot: changes are read from the time of the snapshot; one of the two has to go")
	check(o.Buffer >= 1<<16, "Buffer: %d is less than 64 KiB", o.Buffer)
	check(o.Remember >= 1000, "Remember: %d is less than 1000", o.Remember)
	check(o.Queue >= 0, "Queue: %d is negative", o.Queue)
	check(o.Credit.Messages > 0 && o.Credit.Bytes > 0, "Credit: %d messages and %d bytes let nothing through", o.Credit.Messages, o.Credit.Bytes)
	check((o.ServerKey == "") == (o.SecretKey == "") || o.Enroll != nil, "ServerKey, SecretKey: one does not do without the other")
	for name, d := range map[string]time.Duration{"CursorInterval": o.CursorInterval, "Silence": o.Silence, "JoinTimeout": o.JoinTimeout,
		"AnswerTimeout": o.AnswerTimeout, "RecoveryTimeout": o.RecoveryTimeout} {
		check(d > 0, "%s: %s is negative", name, d)
	}
	_, err := levelsOf(o.Topics)
	return errors.Join(errors.Join(faults...), err)
}

// config is the machine's part.
func (o *Options) config() config {
	levels, _ := levelsOf(o.Topics)
	c := config{
		topics: o.Topics, levels: levels, filter: filterOf(o.Topics, levels), follow: o.Follow, tables: o.Tables, snapshot: o.Snapshot,
		connect: o.Connect, recover: o.Recover, hold: o.Buffer, remember: o.Remember, credit: o.Credit,
		joining: o.JoinTimeout, silence: o.Silence, answering: o.AnswerTimeout, giveUp: o.RecoveryTimeout,
		unheard: min(o.AnswerTimeout, o.RecoveryTimeout),
	}
	if o.Follow {
		c.levels, c.filter = nil, nil
	}
	return c
}
