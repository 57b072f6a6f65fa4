package publisher

import (
	"fmt"
	"runtime"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
)

// sockets are the context, its guard and the outlets.
type sockets struct {
	ctx     *zmq.Context
	guard   *access.Guard // nil without a gate
	outlets []*outlet
}

// open makes the sockets and binds and connects them; first of all the guard
// stands at the door.
func open(o *Options) (_ *sockets, err error) {
	s := &sockets{}
	defer func() {
		if err != nil {
			s.close(0)
		}
	}()
	if s.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if err := s.ctx.SetIoThreads(ioThreads(o.IOThreads, runtime.GOMAXPROCS(0))); err != nil {
		return nil, fmt.Errorf("set the number of I/O threads: %w", err)
	}
	if o.Gate != nil {
		if s.guard, err = o.Gate.Guard(s.ctx); err != nil {
			return nil, err
		}
	}
	for _, a := range o.audiences() {
		out := newOutlet(o, a)
		if out.socket, err = openSocket(s.ctx, o, a); err != nil {
			return nil, err
		}
		s.outlets = append(s.outlets, out)
		if err := out.bind(); err != nil {
			if a.Name != "" {
				err = fmt.Errorf("audience %s: %w", a.Name, err)
			}
			return nil, err
		}
	}
	return s, nil
}

// ioThreads is how many threads write to connections. One is enough for a
// gigabyte a second; where there are many processors, there are more for many
// subscribers. A connection has one of them, so that nothing changes its order.
func ioThreads(asked, processors int) int {
	if asked > 0 {
		return asked
	}
	return max(1, processors/4)
}

// close lets the sockets empty themselves for at most linger, and ends the
// context. It tells whether that came to an end.
//
// libzmq 4.3.4 can wait for ever here, whatever the linger, when a subscriber
// disconnects while messages are queued for it and the socket is closed before
// it has noticed (seen in 2 to 5 of 100 such ends; not with PUB queues that were
// served once more). So the sockets are served a little first, and if that was
// not enough, the context is left behind: the process is about to end.
func (s *sockets) close(linger time.Duration) (ended bool) {
	if s.ctx == nil {
		return true
	}
	for range 4 {
		for _, o := range s.outlets {
			o.socket.settle()
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, o := range s.outlets {
		if o.listener != nil {
			o.listener.Forget()
		}
		o.socket.close(linger)
	}
	if s.guard != nil {
		s.guard.Close()
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
