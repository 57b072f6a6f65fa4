package harness

import (
	"errors"
	"testing"

	zmq "github.com/pebbe/zmq4"
)

// Stalled is a plain SUB socket that has subscribed to everything and that
// nobody reads, until the test ends. One message fills it; the rest waits in the
// kernel and in the publisher.
func Stalled(t testing.TB, endpoint string) *zmq.Socket {
	t.Helper()
	z := Socket(t, zmq.SUB)
	check(t, errors.Join(z.SetRcvhwm(1), z.SetSubscribe(""), z.Connect(endpoint)))
	return z
}
