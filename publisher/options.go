package publisher

import (
	"log/slog"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/topics"
)

// SlowPolicy says what is done when a subscriber's queue is full.
type SlowPolicy string

// The policies for slow subscribers.
const (
	SlowDrop  SlowPolicy = "drop"  // that subscriber loses messages
	SlowBlock SlowPolicy = "block" // all wait for it, up to BlockTimeout, then it loses
)

// A Trace follows a batch from its first change to the socket.
type Trace interface {
	// Parent is the traceparent, as W3C Trace Context has it, that the batch's
	// messages carry.
	Parent() string
}

// Options of a Publisher.
type Options struct {
	Epoch   string   // 16 hex digits, new for every process
	Bind    []string // endpoints, at least one here or in Connect or Audiences
	Connect []string // forwarders
	// Audiences, if there are any, take the place of Bind and Connect, which are
	// those of one audience that sees everything.
	Audiences []Audience
	// Gate lets subscribers in; nil: whoever connects.
	Gate *access.Gate
	// Credentials are those that Connect wants; nil: no CURVE there.
	Credentials func() *access.Credentials
	// MaxInterest bounds what the subscriptions of an audience take of the
	// memory, in bytes; 0: access.DefaultInterest.
	MaxInterest int64

	// IOThreads of libzmq, which share the connections; 0: one for every four
	// processors.
	IOThreads        int
	SendHWM          int // messages queued for one subscriber
	Slow             SlowPolicy
	BlockTimeout     time.Duration
	Heartbeat        time.Duration // of ZMTP; 0: none
	MaxBuffer        int64         // bytes of batches that are not sent yet
	ResolvedInterval time.Duration
	Linger           time.Duration // most time that the end may take to empty the sockets
	// RequireSubscriber holds everything back while nobody is subscribed.
	RequireSubscriber bool

	// Router makes topics of changes. It is asked for every batch, so that new
	// rules take effect.
	Router func() *topics.Router
	// NewBody makes the format of the bodies, for one sink.
	NewBody func() Body
	// Ignore names tables whose changes are not published.
	Ignore func(table string) bool
	// Resolved returns up to when everything was published, by this replica and
	// by all; see changestream.Stream.Resolved.
	Resolved func() (own, fleet time.Time)
	// Hello returns what is said to newcomers.
	Hello func() message.HelloBody
	// Trace begins the trace of a batch, with the commit timestamp of its first
	// change; it returns nil for a batch that is not to be traced. May be nil.
	Trace func(first time.Time) Trace
	// Observe is told of every batch that was handed to the socket, by the
	// goroutine that owns it: when, how many messages, the commit timestamp of
	// the last, and the batch's trace, if it has one. May be nil.
	Observe func(now time.Time, messages int, last time.Time, of Trace)

	Log *slog.Logger
}

// An Audience is a set of topics with a socket of its own, and counters of its
// own: they count what that socket carries.
type Audience struct {
	Name    string   // empty if there is only one
	Topics  []string // prefixes of what it sees; the empty one is everything
	Bind    []string
	Connect []string
	// Hello returns what is said to newcomers; nil: what Options.Hello says.
	Hello func() message.HelloBody
}

// audiences are those of the options, at least one.
func (o *Options) audiences() []Audience {
	if len(o.Audiences) > 0 {
		return o.Audiences
	}
	return []Audience{{Topics: []string{""}, Bind: o.Bind, Connect: o.Connect}}
}
