package recovery

import (
	"errors"
	"log/slog"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/topics"
)

// Options of a Server. Those that Defaults sets need not be set.
type Options struct {
	Bind  []string // endpoints, at least one
	Epoch string   // 16 hex digits, the publisher's

	Info   changestream.Info
	Dial   changestream.Dialer
	Role   string          // database role; may be empty
	Client *spanner.Client // of the stream's database
	Gate   bool            // see changestream.GraphOptions

	QueryWindow time.Duration // length of one query of a partition
	Heartbeat   time.Duration // of the change stream

	// Router, NewBody and Ignore are those of the publisher, so that messages
	// are the same.
	Router     func() *topics.Router
	NewBody    func() publisher.Body
	BodyFormat string // what $begin/ says of it
	Ignore     func(table string) bool
	Hello      func() message.HelloBody
	// Access lets clients in; nil: whoever connects.
	Access *access.Gate
	// Authorize refuses a request with an error, whose text the client gets;
	// nil: everybody may have everything.
	Authorize func(Request) error
	// Ended is told of every answer that has ended, by the goroutine that owns
	// the socket. May be nil.
	Ended func(Ended)

	// Of Running, Following and Waiting one identity has three quarters at most.

	Running     int           // answers that are worked on at once; those that are live, or wait for credit, not counted
	Following   int           // replays without end at once
	Waiting     int           // requests in line
	WaitingEach int           // of them, of one client
	MaxBuffer   int64         // bytes held for one answer, besides what has one commit timestamp
	NoCredit    time.Duration // how long a client may go without granting or reading anything
	Linger      time.Duration // most time that the end may take to empty the socket

	Log *slog.Logger
}

// Defaults are options with what has a default.
func Defaults() Options {
	return Options{
		Running: 4, Following: 16, Waiting: 1000, WaitingEach: 4, MaxBuffer: 16 << 20, NoCredit: 30 * time.Second, Linger: time.Second,
		Ignore: func(string) bool { return false }, Log: slog.New(slog.DiscardHandler),
	}
}

func (o *Options) validate() error {
	var faults []error
	if len(o.Bind) == 0 {
		faults = append(faults, errors.New("no endpoint to bind"))
	}
	if o.Running < 1 || o.Following < 1 || o.Waiting < 1 || o.WaitingEach < 1 || o.MaxBuffer < 1 || o.NoCredit <= 0 {
		faults = append(faults, errors.New("a limit is not positive"))
	}
	return errors.Join(faults...)
}
