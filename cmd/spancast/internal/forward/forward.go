// Package forward is what spancast forward runs: publishers connect to one socket,
// subscribers to the other, and what comes in at one goes out at the other.
//
//	publisher --connect--> XSUB | XPUB <--connect-- subscriber
//	          <- subscriptions -|
//
// It keeps nothing, changes nothing, and knows nothing of Spanner: it is there so
// that publishers which nobody can connect to (Cloud Run) have somewhere to
// connect, and subscribers one stable address. Counters and epochs of publishers
// go through it unchanged, so a loss here shows at the subscriber as any other.
//
// With a gate it is a CURVE server on both sides: publishers are let in by name,
// subscribers as members of one audience.
//
// Duties of the caller: Open, Run, Close.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/internal/zsock"
)

// Options of a Forwarder.
type Options struct {
	Publishers  []string // endpoints to bind for publishers
	Subscribers []string // endpoints to bind for subscribers
	HWM         int      // messages queued for one subscriber, and from one publisher
	Linger      time.Duration
	// Gate lets publishers and subscribers in; nil: whoever connects. Audience is
	// the one that the subscribers have to belong to.
	Gate     *access.Gate
	Audience string
	Log      *slog.Logger
}

// Stats count what a forwarder does.
type Stats struct {
	Messages      atomic.Int64
	Bytes         atomic.Int64
	Subscriptions atomic.Int64
	Beat          atomic.Int64 // when the loop last came round, Unix nanoseconds
}

// A Forwarder has two sockets.
type Forwarder struct {
	opt       Options
	ctx       *zmq.Context
	guard     *access.Guard // nil without a gate
	in, out   *zmq.Socket
	listeners [2]*access.Listener // of in and out
	stats     Stats
	wanted    *access.Interest
	swept     time.Time // when connections that had ended were last forgotten
	messages  int64     // of this round
	bytes     int64
}

const (
	// maxFrame bounds what publishers may send, in bytes: a row takes no more,
	// since a commit of Spanner's has 100 MB at most. It is for those who are not
	// publishers: libzmq takes the memory before it knows who sends.
	maxFrame = 128 << 20
	// handshakeTime is how long a publisher's connection may stay without a
	// handshake.
	handshakeTime = 3 * time.Second
	// burst is how many messages go through before subscriptions are looked at.
	burst = 1000
	// wait is how long the loop waits for something to do.
	wait = 100 * time.Millisecond
	// sweepEvery is how often connections that have ended are forgotten.
	sweepEvery = time.Second
)

// Open binds both sockets.
func Open(o Options) (_ *Forwarder, err error) {
	f := &Forwarder{opt: o, wanted: access.NewInterest(0)}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if f.guard, err = o.Gate.Guard(f.ctx); err != nil {
		return nil, err
	}
	if f.in, err = f.ctx.NewSocket(zmq.XSUB); err != nil {
		return nil, err
	}
	if f.out, err = f.ctx.NewSocket(zmq.XPUB); err != nil {
		return nil, err
	}
	err = errors.Join(f.in.SetRcvhwm(o.HWM), f.in.SetRcvtimeo(0), zsock.Limit(f.in, o.Publishers, maxFrame, handshakeTime),
		f.out.SetSndhwm(o.HWM), f.out.SetXpubVerboser(1), zsock.LimitSubscribers(f.out, o.Subscribers))
	if err != nil {
		return nil, fmt.Errorf("configure the sockets: %w", err)
	}
	for i, side := range []struct {
		socket    *zmq.Socket
		domain    access.Domain
		endpoints []string
	}{{f.in, access.Publishers, o.Publishers}, {f.out, access.AudienceDomain(o.Audience), o.Subscribers}} {
		if f.listeners[i], err = access.Listen(side.socket, o.Gate, side.domain, side.endpoints); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Publishers are the endpoints that publishers connect to, with the ports that
// were chosen for 0 and *.
func (f *Forwarder) Publishers() []string { return f.listeners[0].Endpoints() }

// Subscribers are the endpoints that subscribers connect to.
func (f *Forwarder) Subscribers() []string { return f.listeners[1].Endpoints() }

// Stats are the forwarder's counters, live.
func (f *Forwarder) Stats() *Stats { return &f.stats }

// Run forwards until ctx is done.
func (f *Forwarder) Run(ctx context.Context) error {
	poller := zmq.NewPoller()
	poller.Add(f.in, zmq.POLLIN)
	poller.Add(f.out, zmq.POLLIN)
	for ctx.Err() == nil {
		f.stats.Beat.Store(time.Now().UnixNano())
		if _, err := poller.Poll(wait); err != nil && !zsock.IsNothing(err) {
			return fmt.Errorf("wait for messages: %w", err)
		}
		now := time.Now()
		if err := f.tend(now); err != nil {
			return err
		}
		if err := f.subscriptions(now); err != nil {
			return err
		}
		if err := f.forward(); err != nil {
			return err
		}
	}
	return nil
}

// tend keeps both sides open as they should be.
func (f *Forwarder) tend(now time.Time) error {
	if now.Sub(f.swept) >= sweepEvery {
		f.swept = now
		for range f.wanted.Connections() {
		}
	}
	f.listeners[1].Curb(f.wanted, f.opt.Log)
	for _, l := range f.listeners {
		if err := l.Tend(now); err != nil {
			return err
		}
	}
	return nil
}

// forward passes on a burst of messages.
func (f *Forwarder) forward() error {
	defer func() {
		f.stats.Messages.Add(f.messages)
		f.stats.Bytes.Add(f.bytes)
		f.messages, f.bytes = 0, 0
	}()
	for n := range burst {
		for first := n == 0; ; first = false {
			frame, err := f.receive(first)
			if err != nil {
				if zsock.IsNothing(err) {
					return nil
				}
				return fmt.Errorf("receive: %w", err)
			}
			more, err := f.in.GetRcvmore()
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
			flags := zmq.DONTWAIT
			if more {
				flags |= zmq.SNDMORE
			}
			if _, err := f.out.SendBytes(frame, flags); err != nil && !zsock.IsNothing(err) {
				return fmt.Errorf("send: %w", err)
			}
			f.bytes += int64(len(frame))
			if !more {
				break
			}
		}
		f.messages++
	}
	return nil
}

// receive reads a frame. Of one in every burst it is noted over which connection
// it came: a key that is taken back then costs nobody anything whose owner has
// left.
func (f *Forwarder) receive(note bool) ([]byte, error) {
	if !note || f.opt.Gate == nil {
		return f.in.RecvBytes(zmq.DONTWAIT)
	}
	frame, properties, err := f.in.RecvBytesWithMetadata(zmq.DONTWAIT, access.PropertyKey, access.PropertyDescriptor)
	if err == nil {
		f.opt.Gate.SeenWith(access.Publishers, properties)
	}
	return frame, err
}

// Close lets the sockets empty themselves, for at most the linger time. It tells
// whether that came to an end.
func (f *Forwarder) Close() bool {
	for i, z := range []*zmq.Socket{f.in, f.out} {
		f.listeners[i].Forget()
		zsock.Close(z, f.opt.Linger)
	}
	f.guard.Close()
	return zsock.End(f.ctx, f.opt.Linger)
}
