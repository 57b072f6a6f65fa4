package harness

import (
	"testing"

	zmq "github.com/pebbe/zmq4"
)

// Socket makes a socket of libzmq in a context of its own, until the test ends.
// It may be closed before.
func Socket(t testing.TB, kind zmq.Type) *zmq.Socket {
	t.Helper()
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(kind)
	check(t, err)
	check(t, z.SetLinger(0))
	t.Cleanup(func() {
		z.Close()
		ctx.Term()
	})
	return z
}
