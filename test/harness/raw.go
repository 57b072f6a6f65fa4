package harness

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A RawSubscriber connects to an endpoint without libzmq, and sends subscriptions
// as they are given.
type RawSubscriber struct {
	net.Conn
	t testing.TB
}

// Raw connects until the test ends. It may be closed before.
func Raw(t testing.TB, endpoint string) *RawSubscriber {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(Patience)))
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
	_, err = conn.Write(append(append(greeting, 4, byte(len(ready))), ready...))
	check(t, err)
	_, err = io.ReadFull(conn, make([]byte, 64))
	check(t, err)
	return &RawSubscriber{conn, t}
}

// Asks sends subscriptions, "+a/", or takes them back, "-a/", all at once.
func (r *RawSubscriber) Asks(changes ...string) {
	r.t.Helper()
	var frames []byte
	for _, c := range changes {
		on := byte(0)
		if c[0] == '+' {
			on = 1
		}
		frames = append(append(frames, 0, byte(len(c)), on), c[1:]...)
	}
	_, err := r.Write(frames)
	check(r.t, err)
}

// Until reads until something was received.
func (r *RawSubscriber) Until(text string) {
	r.t.Helper()
	var got strings.Builder
	for b := make([]byte, 4096); !strings.Contains(got.String(), text); {
		n, err := r.Read(b)
		check(r.t, err)
		got.Write(b[:n])
	}
}
