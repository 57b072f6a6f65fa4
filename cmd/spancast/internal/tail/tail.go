// Package tail is the subscriber of spancast tail: it prints changes, and can
// tell whether all have come.
package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
)

// Options of a tail.
type Options struct {
	Connect []string // endpoints of publishers or forwarders
	Topics  []string // prefixes that end in '/', or the empty one for all
	Format  Format
	Count   int           // changes to print; 0: no limit
	Timeout time.Duration // for Count changes, or for any; 0: no limit
	Verify  bool
	Out     io.Writer    // changes
	Log     *slog.Logger // what is said about them
	Colour  bool
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

// pollInterval is how often a tail looks whether it is to end.
const pollInterval = 100 * time.Millisecond

// A Tail prints the changes of its topics.
type Tail struct {
	opt      Options
	print    printer
	verify   *Verifier
	socket   *zmq.Socket
	seen     int
	answered map[string]bool // epochs that have answered
}

// Run prints changes until ctx is done, Count have come or Timeout is over. With
// Verify it returns ErrFaults when something was missing, wrong or out of order.
func Run(ctx context.Context, o Options) error {
	for _, topic := range o.Topics {
		if _, ok := message.Level(topic); !ok {
			return fmt.Errorf("topic %q does not end in /: it would match other names that begin like it, and losses could not be told", topic)
		}
	}
	t := &Tail{opt: o, print: newPrinter(o), verify: NewVerifier(o.Topics), answered: make(map[string]bool)}
	zctx, err := zmq.NewContext()
	if err != nil {
		return err
	}
	defer zctx.Term()
	if t.socket, err = zctx.NewSocket(zmq.SUB); err != nil {
		return err
	}
	defer t.socket.Close()
	if err := t.open(); err != nil {
		return err
	}
	err = t.loop(ctx)
	if o.Verify {
		err = errors.Join(err, t.summary())
	}
	return err
}

func (t *Tail) open() error {
	errs := []error{t.socket.SetLinger(0), t.socket.SetRcvhwm(200_000), t.socket.SetSndhwm(0), t.socket.SetRcvtimeo(pollInterval),
		t.socket.SetReconnectIvl(100 * time.Millisecond), t.socket.SetReconnectIvlMax(5 * time.Second), t.socket.SetIpv6(true)}
	for _, topic := range t.opt.Topics {
		errs = append(errs, t.socket.SetSubscribe(topic))
	}
	for _, kind := range []string{message.Hello, message.Bye, message.Gap} {
		errs = append(errs, t.socket.SetSubscribe(kind))
	}
	if !t.opt.Own.IsZero() {
		errs = append(errs, access.SecureClient(t.socket, t.opt.Own, t.opt.Server))
	}
	for _, endpoint := range t.opt.Connect {
		if err := t.socket.Connect(endpoint); err != nil {
			errs = append(errs, fmt.Errorf("connect to %q: %w; an endpoint looks like tcp://127.0.0.1:5556", endpoint, err))
		}
	}
	return errors.Join(errs...)
}

func (t *Tail) loop(ctx context.Context) error {
	began := time.Now()
	complained := false
	for t.opt.Count == 0 || t.seen < t.opt.Count {
		if ctx.Err() != nil {
			return nil
		}
		if t.opt.Timeout > 0 && time.Since(began) > t.opt.Timeout {
			return t.timedOut()
		}
		if len(t.answered) == 0 && !complained && time.Since(began) > 2*time.Second {
			complained = true
			hint := "publishers with CURVE want --server-key and --secret-key-file"
			if !t.opt.Own.IsZero() {
				hint = "check the server key, and that the access file has our public key " + t.opt.Own.Public().String()
			}
			t.opt.Log.Warn("nobody answers yet, still trying; "+hint, "connect", t.opt.Connect)
		}
		frames, err := t.socket.RecvMessageBytes(0)
		if zmq.AsErrno(err) == zmq.Errno(syscall.EAGAIN) || zmq.AsErrno(err) == zmq.Errno(syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if err := t.message(frames); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tail) timedOut() error {
	if t.opt.Count == 0 {
		return nil // it was to print for that long
	}
	return fmt.Errorf("%w: %d of %d changes came in %s", ErrTimeout, t.seen, t.opt.Count, t.opt.Timeout)
}

// message deals with one message.
func (t *Tail) message(frames [][]byte) error {
	m, err := Parse(frames)
	if err != nil {
		t.verify.Malformed()
		t.opt.Log.Error("a message that is not Spancast's", "error", err, "frames", len(frames))
		return nil
	}
	t.answer(m)
	for _, finding := range t.verify.See(m) {
		t.opt.Log.Warn(finding.Text, "topic", m.Topic, "version", m.Version)
	}
	if m.Kind != "" {
		t.control(m)
		return nil
	}
	t.seen++
	return t.print.change(m)
}

// answer notes that a publisher has answered the subscription.
func (t *Tail) answer(m *Message) {
	if t.answered[m.Epoch] {
		return
	}
	t.answered[m.Epoch] = true
	t.opt.Log.Info("subscribed", "topics", t.opt.Topics, "epoch", m.Epoch)
}

func (t *Tail) control(m *Message) {
	switch m.Kind {
	case message.Bye:
		t.opt.Log.Info("a publisher has ended", "epoch", m.Epoch)
	case message.Gap:
		t.opt.Log.Error("changes are lost for good: they are older than what the change stream keeps", "gap", string(m.Body))
	}
}

func (t *Tail) summary() error {
	s := t.verify.Summary()
	t.opt.Log.Info("verified", "changes", s.Changes, "duplicates", s.Duplicates, "gaps", s.Gaps, "lost", s.Lost,
		"out_of_order", s.OutOfOrder, "malformed", s.Malformed, "epochs", s.Epochs)
	if s.Gaps+s.OutOfOrder+s.Malformed > 0 {
		return fmt.Errorf("%w: %d gaps (%d changes lost), %d out of order, %d malformed", ErrFaults, s.Gaps, s.Lost, s.OutOfOrder, s.Malformed)
	}
	return nil
}
