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
// Duties of the caller: Open, Run, Close.
package forward

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// Options of a Forwarder.
type Options struct {
	Publishers  []string // endpoints to bind for publishers
	Subscribers []string // endpoints to bind for subscribers
	HWM         int      // messages queued for one subscriber, and from one publisher
	Linger      time.Duration
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
	opt      Options
	ctx      *zmq.Context
	in, out  *zmq.Socket
	bound    [2][]string
	stats    Stats
	wanted   map[string]int // how many want a prefix
	messages int64          // of this round
	bytes    int64
}

const (
	// maxFrame bounds what subscribers may send, in bytes: a subscription.
	maxFrame = 4096
	// burst is how many messages go through before subscriptions are looked at.
	burst = 1000
	// wait is how long the loop waits for something to do.
	wait = 100 * time.Millisecond
)

// Open binds both sockets.
func Open(o Options) (_ *Forwarder, err error) {
	f := &Forwarder{opt: o, wanted: make(map[string]int)}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if f.in, err = f.ctx.NewSocket(zmq.XSUB); err != nil {
		return nil, err
	}
	if f.out, err = f.ctx.NewSocket(zmq.XPUB); err != nil {
		return nil, err
	}
	err = errors.Join(f.in.SetRcvhwm(o.HWM), f.out.SetSndhwm(o.HWM), f.out.SetXpubVerboser(1), f.out.SetMaxmsgsize(maxFrame), f.in.SetRcvtimeo(0),
		keepAlive(f.in), keepAlive(f.out))
	if err != nil {
		return nil, fmt.Errorf("configure the sockets: %w", err)
	}
	for i, side := range []struct {
		socket    *zmq.Socket
		endpoints []string
	}{{f.in, o.Publishers}, {f.out, o.Subscribers}} {
		for _, endpoint := range side.endpoints {
			if err := side.socket.Bind(endpoint); err != nil {
				return nil, fmt.Errorf("bind %s: %w", endpoint, err)
			}
			last, err := side.socket.GetLastEndpoint()
			if err != nil {
				return nil, err
			}
			f.bound[i] = append(f.bound[i], strings.TrimRight(last, "\x00"))
		}
	}
	return f, nil
}

func keepAlive(z *zmq.Socket) error {
	return errors.Join(z.SetTcpKeepalive(1), z.SetTcpKeepaliveIdle(60), z.SetTcpKeepaliveIntvl(10), z.SetTcpKeepaliveCnt(3), z.SetHandshakeIvl(5*time.Second), z.SetBacklog(1024))
}

// Publishers are the endpoints that publishers connect to, with the ports that
// were chosen for 0 and *.
func (f *Forwarder) Publishers() []string { return f.bound[0] }

// Subscribers are the endpoints that subscribers connect to.
func (f *Forwarder) Subscribers() []string { return f.bound[1] }

// Stats are the forwarder's counters, live.
func (f *Forwarder) Stats() *Stats { return &f.stats }

// Run forwards until ctx is done.
func (f *Forwarder) Run(ctx context.Context) error {
	poller := zmq.NewPoller()
	poller.Add(f.in, zmq.POLLIN)
	poller.Add(f.out, zmq.POLLIN)
	for ctx.Err() == nil {
		f.stats.Beat.Store(time.Now().UnixNano())
		if _, err := poller.Poll(wait); err != nil && !interrupted(err) {
			return fmt.Errorf("wait for messages: %w", err)
		}
		if err := f.subscriptions(); err != nil {
			return err
		}
		if err := f.forward(); err != nil {
			return err
		}
	}
	return nil
}

// interrupted tells whether a signal came in between, or there was nothing.
func interrupted(err error) bool {
	errno := zmq.AsErrno(err)
	return errno == zmq.Errno(syscall.EINTR) || errno == zmq.Errno(syscall.EAGAIN)
}

// forward passes on a burst of messages.
func (f *Forwarder) forward() error {
	defer func() {
		f.stats.Messages.Add(f.messages)
		f.stats.Bytes.Add(f.bytes)
		f.messages, f.bytes = 0, 0
	}()
	for range burst {
		for {
			frame, err := f.in.RecvBytes(zmq.DONTWAIT)
			if err != nil {
				if interrupted(err) {
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
			if _, err := f.out.SendBytes(frame, flags); err != nil && !interrupted(err) {
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

// subscriptions tells publishers what subscribers want: each prefix once, when
// the first wants it, and when the last does not any more. So a publisher that
// counts its subscribers counts right.
func (f *Forwarder) subscriptions() error {
	for range burst {
		b, err := f.out.RecvBytes(zmq.DONTWAIT)
		if err != nil {
			if interrupted(err) {
				return nil
			}
			return fmt.Errorf("receive subscriptions: %w", err)
		}
		if len(b) == 0 || b[0] > 1 || !f.news(string(b[1:]), b[0] == 1) {
			continue
		}
		if _, err := f.in.SendBytes(b, 0); err != nil {
			return fmt.Errorf("pass a subscription on: %w", err)
		}
	}
	return nil
}

// news notes a change, and tells whether publishers should know of it.
func (f *Forwarder) news(prefix string, on bool) bool {
	n := f.wanted[prefix]
	switch {
	case on:
		f.stats.Subscriptions.Add(1)
		f.wanted[prefix] = n + 1
		return n == 0
	case n == 0:
		return false
	}
	f.stats.Subscriptions.Add(-1)
	if n == 1 {
		delete(f.wanted, prefix)
		return true
	}
	f.wanted[prefix] = n - 1
	return false
}

// Close lets the sockets empty themselves, for at most the linger time. It tells
// whether that came to an end.
func (f *Forwarder) Close() bool {
	if f.ctx == nil {
		return true
	}
	for _, z := range []*zmq.Socket{f.in, f.out} {
		if z != nil {
			z.SetLinger(f.opt.Linger)
			z.Close()
		}
	}
	done := make(chan struct{})
	go func() {
		f.ctx.Term()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(f.opt.Linger + time.Second):
		return false
	}
}
