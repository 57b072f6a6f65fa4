package publisher

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"
)

const (
	// maxSubscription bounds what peers may send, in bytes: a subscription is
	// the longest. Without a bound one message can fill the memory, even before
	// the handshake.
	maxSubscription = 4096
	// handshakeTime is how long a connection may stay without a handshake.
	handshakeTime = 5 * time.Second
	// patience is how long a full queue is waited for before its subscriber
	// loses messages, and patienceEach how much of every second goes there at
	// most.
	patience     = 20 * time.Millisecond
	patienceEach = 50 * time.Millisecond
)

// A socket is an XPUB socket that drops for slow subscribers only. It is for one
// goroutine.
//
// XPUB_NODROP makes a send fail when any matching queue is full. After some
// patience the message is sent once more without that option: full queues miss
// it, and are left alone by ZeroMQ until they have drained; all others get it.
type socket struct {
	ctx   *zmq.Context
	z     *zmq.Socket
	bound []string // endpoints, with the ports that were chosen

	block    time.Duration // with SlowBlock: how long to wait for a full queue
	waitable time.Duration // of SNDTIMEO as it is set
	second   time.Time     // in which spent was spent
	spent    time.Duration
	dropped  uint64 // how often somebody was too slow
}

// open makes the socket and binds and connects it.
func open(o *Options) (_ *socket, err error) {
	s := &socket{}
	defer func() {
		if err != nil {
			s.close(0)
		}
	}()
	if s.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if s.z, err = s.ctx.NewSocket(zmq.XPUB); err != nil {
		return nil, err
	}
	if o.Slow == SlowBlock {
		s.block = o.BlockTimeout
	}
	if err := s.configure(o); err != nil {
		return nil, fmt.Errorf("configure the PUB socket: %w", err)
	}
	for _, endpoint := range o.Bind {
		if err := s.z.Bind(endpoint); err != nil {
			return nil, fmt.Errorf("bind %s: %w", endpoint, Explain(err))
		}
		last, err := s.z.GetLastEndpoint()
		if err != nil {
			return nil, err
		}
		s.bound = append(s.bound, strings.TrimRight(last, "\x00"))
	}
	for _, endpoint := range o.Connect {
		if err := s.z.Connect(endpoint); err != nil {
			return nil, fmt.Errorf("connect to %s: %w", endpoint, Explain(err))
		}
	}
	return s, nil
}

func (s *socket) configure(o *Options) error {
	s.waitable = patience
	errs := []error{
		s.z.SetSndhwm(o.SendHWM),
		s.z.SetXpubVerboser(1), // every subscription, so that each can be answered and counted
		s.z.SetXpubNodrop(true),
		s.z.SetSndtimeo(patience),
		s.z.SetMaxmsgsize(maxSubscription),
		s.z.SetHandshakeIvl(handshakeTime),
		s.z.SetBacklog(1024),
		s.z.SetTcpKeepalive(1), s.z.SetTcpKeepaliveIdle(60), s.z.SetTcpKeepaliveIntvl(10), s.z.SetTcpKeepaliveCnt(3),
	}
	if o.Heartbeat > 0 {
		errs = append(errs, s.z.SetHeartbeatIvl(o.Heartbeat), s.z.SetHeartbeatTimeout(3*o.Heartbeat))
	}
	for _, endpoint := range append(o.Bind, o.Connect...) {
		if strings.Contains(endpoint, "://[") || strings.Contains(endpoint, "://*") {
			errs = append(errs, s.z.SetIpv6(true))
		}
	}
	return errors.Join(errs...)
}

// Explain adds what to do to errors of binding and connecting that people meet.
func Explain(err error) error {
	switch zmq.AsErrno(err) {
	case zmq.Errno(syscall.EADDRINUSE):
		return fmt.Errorf("%w; another process has the port, choose another one", err)
	case zmq.Errno(syscall.EADDRNOTAVAIL), zmq.Errno(syscall.ENODEV):
		return fmt.Errorf("%w; this machine has no such address", err)
	case zmq.Errno(syscall.EINVAL), zmq.Errno(syscall.EPROTONOSUPPORT):
		return fmt.Errorf("%w; an endpoint looks like tcp://127.0.0.1:5556", err)
	}
	return err
}

func isFull(err error) bool { return zmq.AsErrno(err) == zmq.Errno(syscall.EAGAIN) }

// send sends a message of three frames. Proceed is asked while a full queue is
// waited for; when it says no, the message is not sent.
func (s *socket) send(topic, header, body []byte, proceed func() bool) error {
	_, err := s.z.SendBytes(topic, zmq.SNDMORE)
	if err == nil {
		return s.rest(header, body)
	}
	if !isFull(err) {
		return fmt.Errorf("send: %w", err)
	}
	if sent, err := s.wait(topic, proceed); sent {
		return s.rest(header, body)
	} else if err != nil {
		return err
	}
	s.dropped++
	if err := s.z.SetXpubNodrop(false); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err = s.z.SendBytes(topic, zmq.SNDMORE); err == nil {
		err = s.rest(header, body)
	}
	return errors.Join(err, s.z.SetXpubNodrop(true))
}

func (s *socket) rest(header, body []byte) error {
	_, err := s.z.SendBytes(header, zmq.SNDMORE)
	if err == nil {
		_, err = s.z.SendBytes(body, 0)
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

var errNotOurs = errors.New("the lease ran out while a slow subscriber was waited for")

// wait goes on waiting for room as the policy says, after one send that waited
// already. It tells whether the topic was sent then.
func (s *socket) wait(topic []byte, proceed func() bool) (sent bool, err error) {
	if s.block == 0 {
		return false, s.bePatient()
	}
	for until := time.Now().Add(s.block); time.Now().Before(until); {
		if !proceed() {
			return false, errNotOurs
		}
		_, err := s.z.SendBytes(topic, zmq.SNDMORE)
		if err == nil {
			return true, nil
		}
		if !isFull(err) {
			return false, fmt.Errorf("send: %w", err)
		}
	}
	return false, nil
}

// bePatient accounts for a wait, and takes care that there are not too many.
func (s *socket) bePatient() error {
	if now := time.Now(); now.Sub(s.second) >= time.Second {
		s.second, s.spent = now, 0
	}
	s.spent += s.waitable
	want := patience
	if s.spent >= patienceEach {
		want = 0
	}
	return s.setWait(want)
}

func (s *socket) setWait(d time.Duration) error {
	if d == s.waitable {
		return nil
	}
	s.waitable = d
	return s.z.SetSndtimeo(d)
}

// refresh lets a new second begin.
func (s *socket) refresh(now time.Time) error {
	if s.block > 0 || s.waitable == patience || now.Sub(s.second) < time.Second {
		return nil
	}
	s.second, s.spent = now, 0
	return s.setWait(patience)
}

// subscription reads the next change of subscriptions, without waiting.
func (s *socket) subscription() (prefix string, on, ok bool, err error) {
	for {
		b, err := s.z.RecvBytes(zmq.DONTWAIT)
		if err != nil {
			if isFull(err) {
				return "", false, false, nil
			}
			return "", false, false, fmt.Errorf("receive subscriptions: %w", err)
		}
		if len(b) > 0 && b[0] <= 1 {
			return string(b[1:]), b[0] == 1, true, nil
		}
	}
}

// close lets the socket empty itself for at most linger, and ends the context.
// It tells whether that came to an end.
//
// libzmq 4.3.4 can wait for ever here, whatever the linger, when a subscriber
// disconnects while messages are queued for it and the socket is closed before
// it has noticed (seen in 2 to 5 of 100 such ends; not with PUB queues that were
// served once more). So the socket is served a little first, and if that was not
// enough, the context is left behind: the process is about to end.
func (s *socket) close(linger time.Duration) (ended bool) {
	if s.ctx == nil {
		return true
	}
	if s.z != nil {
		s.settle()
		s.z.SetLinger(linger)
		s.z.Close()
	}
	done := make(chan struct{})
	go func() {
		s.ctx.Term()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(linger + time.Second):
		return false
	}
}

// settle lets the socket notice who has gone.
func (s *socket) settle() {
	for range 4 {
		for {
			if _, _, ok, err := s.subscription(); !ok || err != nil {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}
