// Package tail is the subscriber of spancast tail: it prints changes, and can
// tell whether all have come.
package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/subscriber"
)

// Options of a tail.
type Options struct {
	Connect  []string  // endpoints of publishers or forwarders
	Recover  []string  // recovery endpoints, besides those that publishers name
	Topics   []string  // prefixes that end in '/', or the empty one for all
	Since    time.Time // commit timestamp; zero: now
	Snapshot bool
	Tables   []string // of the snapshot; none: all
	Follow   bool
	Cursor   string // file; empty: none
	Format   Format
	Count    int           // changes to print; 0: no limit
	Timeout  time.Duration // for Count changes, or for any; 0: no limit
	Verify   bool
	Out      io.Writer    // changes
	Log      *slog.Logger // what is said about them
	Colour   bool
	// Enroll gets us in by an ID token; Connect and Server are learned then.
	Enroll *subscriber.Enrolment
	// Server is the publishers' public key, Own the key that they know us by;
	// both, or neither for publishers without CURVE.
	Server access.PublicKey
	Own    access.SecretKey
}

// Format is how changes are printed.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// Errors of a tail that did not see what it was to see.
var (
	ErrTimeout = errors.New("timed out")
	ErrFaults  = errors.New("not everything was as it should be")
)

// A tail prints the changes of its topics.
type tail struct {
	opt    Options
	print  printer
	verify *Verifier
	sub    *subscriber.Subscriber
	seen   int
	lived  bool
	enough context.CancelFunc
}

// Run prints changes until ctx is done, Count have come or Timeout is over. With
// Verify it returns ErrFaults when something was missing for good, wrong or out
// of order.
func Run(ctx context.Context, o Options) (err error) {
	t := &tail{opt: o, print: newPrinter(o), verify: NewVerifier()}
	so := subscriber.Options{
		Connect: o.Connect, Recover: o.Recover, Topics: o.Topics, Snapshot: o.Snapshot, Tables: o.Tables, Follow: o.Follow,
		Since: o.Since, OnLive: t.live, Log: o.Log,
	}
	so.Enroll = o.Enroll
	if !o.Own.IsZero() {
		so.SecretKey = o.Own.Reveal()
		if o.Enroll == nil {
			so.ServerKey = o.Server.String()
		}
	}
	if o.Cursor != "" {
		so.Cursor = subscriber.FileCursor(o.Cursor)
	}
	if t.sub, err = subscriber.New(so); err != nil {
		return err
	}
	return t.run(ctx)
}

func (t *tail) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.enough = cancel
	if t.opt.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, t.opt.Timeout)
		defer cancel()
	}
	complain := time.AfterFunc(2*time.Second, func() {
		if t.sub.Stats().Epochs == 0 {
			t.opt.Log.Warn("nobody answers yet, still trying; "+t.hint(), "connect", t.opt.Connect)
		}
	})
	defer complain.Stop()
	err := t.sub.Run(ctx, t.change)
	if err == nil && t.opt.Count > 0 && t.seen < t.opt.Count && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %d of %d changes came in %s", ErrTimeout, t.seen, t.opt.Count, t.opt.Timeout)
	}
	if err == nil && t.opt.Verify && !t.lived && t.seen == 0 {
		err = fmt.Errorf("%w: nobody answered, so that nothing could be verified", ErrFaults)
	}
	if t.opt.Verify {
		err = errors.Join(err, t.summary())
	}
	return err
}

// hint is what may be wrong when nobody answers.
func (t *tail) hint() string {
	if t.opt.Enroll != nil {
		return "check that the endpoints of the grant can be reached from here"
	}
	if t.opt.Own.IsZero() {
		return "publishers with CURVE want --server-key and --secret-key-file"
	}
	return "check the server key, and that the access file has our public key " + t.opt.Own.Public().String()
}

// live says that the subscription is active, once.
func (t *tail) live() {
	if !t.lived {
		t.lived = true
		topics := strings.Join(t.opt.Topics, ", ")
		if topics == "" || slices.Contains(t.opt.Topics, "") {
			topics = "everything"
		}
		t.opt.Log.Info("subscribed", "topics", topics)
	}
}

// change deals with one change.
func (t *tail) change(_ context.Context, c *subscriber.Change) error {
	for _, finding := range t.verify.See(c) {
		t.opt.Log.Warn(finding, "topic", c.Topic, "version", string(c.Header.Version))
	}
	if err := t.print.change(c); err != nil {
		return err
	}
	if t.seen++; t.seen == t.opt.Count {
		t.enough()
	}
	return nil
}

func (t *tail) summary() error {
	s, v := t.sub.Stats(), t.verify.Summary()
	t.opt.Log.Info("verified", "changes", t.seen, "duplicates", s.Duplicates, "gaps", s.Gaps, "lost", s.Lost, "replayed", s.Replayed, "unrecovered", s.Unrecovered,
		"twice", v.Twice, "out_of_order", v.OutOfOrder, "malformed", s.Malformed, "epochs", s.Epochs)
	if s.Unrecovered+s.Malformed+v.Twice+v.OutOfOrder > 0 {
		return fmt.Errorf("%w: %d gaps that could not be recovered, %d changes twice, %d out of order, %d malformed messages", ErrFaults, s.Unrecovered, v.Twice, v.OutOfOrder, s.Malformed)
	}
	return nil
}
