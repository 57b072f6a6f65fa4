package recovery

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/internal/zsock"
)

const (
	// maxRequest bounds a frame of a request, in bytes.
	maxRequest = 16 << 10
	// maxQueued is the number of messages queued in the socket for one client.
	maxQueued = 1000
	// handshakeTime is how long a connection may stay without a handshake.
	handshakeTime = 5 * time.Second
	wakeEndpoint  = "inproc://wake"
)

var (
	// errFull is returned when a client's queue has no room.
	errFull = errors.New("the client does not read")
	// errAbsent is returned when a client has gone.
	errAbsent = errors.New("the client has gone")
)

// A socket is a ROUTER socket, and a way to interrupt the wait for it. All but
// wake is for one goroutine.
type socket struct {
	ctx      *zmq.Context
	gate     *access.Gate  // nil: whoever connects is let in
	guard    *access.Guard // nil without a gate
	z        *zmq.Socket
	listener *access.Listener
	woken    *zmq.Socket
	poller   *zmq.Poller

	mu      sync.Mutex // of waker
	waker   *zmq.Socket
	pending atomic.Bool // a wake that was not noticed yet
}

func open(o *Options) (_ *socket, err error) {
	s := &socket{gate: o.Access}
	defer func() {
		if err != nil {
			s.close(0)
		}
	}()
	if s.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if s.guard, err = s.gate.Guard(s.ctx); err != nil {
		return nil, err
	}
	if s.z, err = s.ctx.NewSocket(zmq.ROUTER); err != nil {
		return nil, err
	}
	if err := s.configure(o); err != nil {
		return nil, fmt.Errorf("configure the ROUTER socket: %w", err)
	}
	if err := s.openWaker(); err != nil {
		return nil, err
	}
	if s.listener, err = access.Listen(s.z, s.gate, access.Recovery, o.Bind); err != nil {
		return nil, err
	}
	s.poller = zmq.NewPoller()
	s.poller.Add(s.z, zmq.POLLIN)
	s.poller.Add(s.woken, zmq.POLLIN)
	return s, nil
}

func (s *socket) configure(o *Options) error {
	return errors.Join(
		s.z.SetRouterMandatory(1), // a client that has gone is noticed, and a full queue is not a loss
		s.z.SetSndhwm(maxQueued),
		s.z.SetRcvhwm(maxQueued),
		zsock.Limit(s.z, o.Bind, maxRequest, handshakeTime),
	)
}

func (s *socket) openWaker() (err error) {
	if s.woken, err = s.ctx.NewSocket(zmq.PAIR); err != nil {
		return err
	}
	if err := s.woken.Bind(wakeEndpoint); err != nil {
		return err
	}
	if s.waker, err = s.ctx.NewSocket(zmq.PAIR); err != nil {
		return err
	}
	return s.waker.Connect(wakeEndpoint)
}

// wake ends a wait, the one to come if there is none. Any goroutine may call it.
func (s *socket) wake() {
	if s.pending.Swap(true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waker != nil {
		s.waker.SendBytes(nil, zmq.DONTWAIT)
	}
}

// wait waits until there is a request, somebody calls wake, or time is over.
func (s *socket) wait(d time.Duration) error {
	if _, err := s.poller.Poll(d); err != nil {
		return fmt.Errorf("wait for requests: %w", err)
	}
	if s.pending.Load() {
		s.pending.Store(false) // before it is read: what wakes from here on is not lost
		for {
			if _, err := s.woken.RecvBytes(zmq.DONTWAIT); err != nil {
				break
			}
		}
	}
	return nil
}

// A received message: who sent it, and its frames.
type received struct {
	client   string // routing id
	identity string // empty without a gate
	link     access.Link
	frames   [][]byte
}

// receive reads the next message, without waiting. It has no frames when there
// is no message.
func (s *socket) receive() (m received, err error) {
	client, err := s.z.RecvBytes(zmq.DONTWAIT)
	if err != nil {
		if is(err, syscall.EAGAIN) {
			return m, nil
		}
		return m, fmt.Errorf("receive requests: %w", err)
	}
	m.client, m.frames = string(client), [][]byte{}
	for more := true; more; { // who sent it is not said of the first frame
		frame, properties, err := s.z.RecvBytesWithMetadata(0, access.PropertyIdentity, access.PropertyKey, access.PropertyDescriptor)
		if err != nil {
			return m, fmt.Errorf("receive requests: %w", err)
		}
		if len(m.frames) == 0 {
			m.link = access.LinkOf(properties)
			if s.gate != nil {
				m.identity = properties[access.PropertyIdentity]
				s.gate.SeenWith(access.Recovery, properties)
			}
		}
		m.frames = append(m.frames, frame)
		if more, err = s.z.GetRcvmore(); err != nil {
			return m, fmt.Errorf("receive requests: %w", err)
		}
	}
	return m, nil
}

func is(err error, errno syscall.Errno) bool { return zmq.AsErrno(err) == zmq.Errno(errno) }

// send sends a message to a client, if it is there and its queue has room:
// otherwise the error is errAbsent or errFull.
func (s *socket) send(client, id, topic, header, body []byte) error {
	_, err := s.z.SendBytes(client, zmq.SNDMORE|zmq.DONTWAIT)
	switch {
	case err == nil:
	case is(err, syscall.EAGAIN):
		return errFull
	case is(err, syscall.EHOSTUNREACH):
		return errAbsent
	default:
		return fmt.Errorf("send an answer: %w", err)
	}
	for _, frame := range [...][]byte{id, topic, header} {
		if _, err := s.z.SendBytes(frame, zmq.SNDMORE); err != nil {
			return fmt.Errorf("send an answer: %w", err)
		}
	}
	if _, err := s.z.SendBytes(body, 0); err != nil {
		return fmt.Errorf("send an answer: %w", err)
	}
	return nil
}

// close lets the socket empty itself for at most linger, and ends the context.
// It tells whether that came to an end.
func (s *socket) close(linger time.Duration) (ended bool) {
	s.mu.Lock()
	zsock.Close(s.waker, 0)
	s.waker = nil
	s.mu.Unlock()
	zsock.Close(s.woken, 0)
	s.listener.Forget()
	if s.z != nil {
		zsock.Settle(s.settle)
		zsock.Close(s.z, linger)
	}
	s.guard.Close()
	return zsock.End(s.ctx, linger)
}

// settle lets the socket notice who has gone.
func (s *socket) settle() {
	for {
		if m, err := s.receive(); m.frames == nil || err != nil {
			return
		}
	}
}
