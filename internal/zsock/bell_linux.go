package zsock

import (
	"fmt"
	"os"
	"syscall"

	zmq "github.com/pebbe/zmq4"
	"golang.org/x/sys/unix"
)

// A Bell rings when there may be something for the owner of a socket to read,
// without a thread that waits, and without looking every now and then.
//
// It is libzmq's ZMQ_FD, whose meaning is the edge: what has rung is over when the
// owner has asked the socket for its events, or has received until there was
// nothing, and not before. See zmq_getsockopt(3).
type Bell struct {
	file *os.File // another descriptor of the same: libzmq closes its own
	raw  syscall.RawConn
}

// NewBell makes the bell of a socket. Only the socket's owner may call it.
func NewBell(z *zmq.Socket) (*Bell, error) {
	fd, err := z.GetFd()
	if err != nil {
		return nil, err
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate the descriptor of a socket: %w", err)
	}
	b := &Bell{file: os.NewFile(uintptr(own), "ZMQ_FD")}
	if b.raw, err = b.file.SyscallConn(); err != nil {
		b.file.Close()
		return nil, err
	}
	return b, nil
}

// Wait waits until the bell rings, if it does not ring already. Any goroutine may
// call it; it returns an error when the bell was closed.
func (b *Bell) Wait() error {
	return b.raw.Read(func(fd uintptr) bool {
		now := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(now, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// Close ends all waiting.
func (b *Bell) Close() {
	if b != nil {
		b.file.Close()
	}
}
