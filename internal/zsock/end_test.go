package zsock_test

import (
	"syscall"
	"testing"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// TestEnd_LeavesBehindWhatDoesNotEnd: a context with a socket that was not closed.
func TestEnd_LeavesBehindWhatDoesNotEnd(t *testing.T) {
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(zmq.PUB)
	check(t, err)
	if zsock.End(ctx, 0) {
		t.Error("it ended")
	}
	zsock.Close(z, 0)
}

// TestEnd_WaitsForNothingThatIsNotThere: no socket, no context, messages for
// somebody who never came.
func TestEnd_WaitsForNothingThatIsNotThere(t *testing.T) {
	zsock.Close(nil, testPatience)
	if !zsock.End(nil, 0) {
		t.Error("no context has not ended")
	}
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(zmq.DEALER)
	check(t, err)
	check(t, z.Connect("tcp://127.0.0.1:1"))
	_, err = z.Send("", 0)
	check(t, err)
	zsock.Close(z, 0)
	if !zsock.End(ctx, testPatience) {
		t.Error("it has not ended")
	}
}

func TestSettle_ServesMoreThanOnce(t *testing.T) {
	n := 0
	zsock.Settle(func() { n++ })
	if n != 4 {
		t.Error(n)
	}
}

// TestIsNothing_TellsAnEmptySocketFromAClosedOne.
func TestIsNothing_TellsAnEmptySocketFromAClosedOne(t *testing.T) {
	z := open(t, zmq.PULL)
	if _, err := z.RecvBytes(zmq.DONTWAIT); !zsock.IsNothing(err) {
		t.Error(err)
	}
	check(t, z.Close())
	if _, err := z.RecvBytes(zmq.DONTWAIT); err == nil || zsock.IsNothing(err) {
		t.Error(err)
	}
	if zsock.IsNothing(nil) || !zsock.IsNothing(zmq.Errno(syscall.EINTR)) {
		t.Error("no error, or a signal, is not told from others")
	}
}
