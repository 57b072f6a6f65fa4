package zsock

import (
	"syscall"

	zmq "github.com/pebbe/zmq4"
)

// IsNothing tells whether an error says that there is nothing to be had now, or
// that a signal came in between.
func IsNothing(err error) bool {
	errno := zmq.AsErrno(err)
	return errno == zmq.Errno(syscall.EAGAIN) || errno == zmq.Errno(syscall.EINTR)
}
