package zsock_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// testPatience is how long to wait for what has to come.
const testPatience = time.Minute

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open makes a socket in a context of its own.
func open(t *testing.T, kind zmq.Type) *zmq.Socket {
	t.Helper()
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(kind)
	check(t, err)
	check(t, errors.Join(z.SetLinger(0), z.SetRcvtimeo(testPatience)))
	t.Cleanup(func() { z.Close(); ctx.Term() })
	return z
}

// bind binds a socket to a port of this machine.
func bind(t *testing.T, z *zmq.Socket) (endpoint string) {
	t.Helper()
	check(t, z.Bind("tcp://127.0.0.1:*"))
	endpoint, err := z.GetLastEndpoint()
	check(t, err)
	return endpoint
}

// raw connects to an endpoint without libzmq.
func raw(t *testing.T, endpoint string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
	check(t, err)
	t.Cleanup(func() { c.Close() })
	check(t, c.SetDeadline(time.Now().Add(testPatience)))
	return c
}

// greet does what comes before messages in ZMTP, as a DEALER.
func greet(t *testing.T, c net.Conn) {
	t.Helper()
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	_, err := c.Write(append(greeting, "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"...))
	check(t, err)
	theirs := make([]byte, 64+2) // with the head of READY
	_, err = io.ReadFull(c, theirs)
	check(t, err)
	_, err = io.ReadFull(c, make([]byte, theirs[65]))
	check(t, err)
}
