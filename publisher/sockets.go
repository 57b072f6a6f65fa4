package publisher

import (
	"fmt"
	"runtime"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/internal/zsock"
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
	if s.guard, err = o.Gate.Guard(s.ctx); err != nil {
		return nil, err
	}
	for _, a := range o.audiences() {
		out := newOutlet(o, a)
		if out.socket, err = openSocket(s.ctx, o, a); err != nil {
			return nil, err
		}
		s.outlets = append(s.outlets, out)
		if out.bell, err = zsock.NewBell(out.socket.z); err != nil {
			return nil, err
		}
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
func (s *sockets) close(linger time.Duration) (ended bool) {
	zsock.Settle(func() {
		for _, o := range s.outlets {
			o.socket.settle()
		}
	})
	for _, o := range s.outlets {
		o.bell.Close()
		o.listener.Forget()
		zsock.Close(o.socket.z, linger)
	}
	s.guard.Close()
	return zsock.End(s.ctx, linger)
}
