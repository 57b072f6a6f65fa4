package zsock_test

import (
	"fmt"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
	"golang.org/x/sys/unix"
)

// readable waits until a descriptor has something to read.
func readable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(testPatience.Milliseconds()))
		if n > 0 {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("there is nothing to read: %v", err)
		}
	}
}

// TestBell_RingsForWhatWasThereBefore Wait was called: nothing more comes that
// could wake it.
func TestBell_RingsForWhatWasThereBefore(t *testing.T) {
	pub, bell, endpoint := hung(t)
	fd, err := pub.GetFd()
	check(t, err)
	sub := open(t, zmq.SUB)
	check(t, sub.Connect(endpoint))
	for i := range 20 {
		check(t, sub.SetSubscribe(fmt.Sprint(i)))
		for n := 0; n == 0; n = received(pub) {
			readable(t, fd)
			check(t, heard(t, rung(bell), fmt.Sprintf("subscription %d, which was there before", i)))
		}
	}
}

// TestBell_IsSilentWhenThereIsNothing, before the first subscription and when the
// last one was read.
func TestBell_IsSilentWhenThereIsNothing(t *testing.T) {
	pub, bell, endpoint := hung(t)
	silent := func(when string) (waiting <-chan error) {
		t.Helper()
		received(pub) // what binding and connecting have left
		waiting = rung(bell)
		select {
		case err := <-waiting:
			t.Fatalf("Wait returned %v %s, with nothing to read", err, when)
		case <-time.After(50 * time.Millisecond):
		}
		return waiting
	}
	waiting := silent("before the first subscription")
	sub := open(t, zmq.SUB)
	check(t, sub.Connect(endpoint))
	check(t, sub.SetSubscribe(""))
	for n := 0; n == 0; n = received(pub) {
		check(t, heard(t, waiting, "the first subscription"))
		waiting = rung(bell)
	}
	silent("after the last subscription")
}
