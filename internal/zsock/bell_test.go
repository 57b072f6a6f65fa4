package zsock_test

import (
	"fmt"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// ringPatience is how long a bell may take to ring that takes microseconds.
const ringPatience = 10 * time.Second

// rung waits in another goroutine.
func rung(b *zsock.Bell) <-chan error {
	done := make(chan error, 1)
	go func() { done <- b.Wait() }()
	return done
}

// heard is what Wait returned, which has a reason to.
func heard(t *testing.T, done <-chan error, reason string) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(ringPatience):
		t.Fatalf("Wait has not returned %s after %s", ringPatience, reason)
		return nil
	}
}

// hung is an XPUB socket with its bell, and where it is bound.
func hung(t *testing.T) (pub *zmq.Socket, bell *zsock.Bell, endpoint string) {
	t.Helper()
	pub = open(t, zmq.XPUB)
	bell, err := zsock.NewBell(pub)
	check(t, err)
	t.Cleanup(bell.Close)
	return pub, bell, bind(t, pub)
}

// received counts what there is to read.
func received(pub *zmq.Socket) (n int) {
	for {
		if _, err := pub.RecvBytes(zmq.DONTWAIT); err != nil {
			return n
		}
		n++
	}
}

// TestBell_RingsForEverySubscription, whether somebody waits for it at that moment
// or not.
func TestBell_RingsForEverySubscription(t *testing.T) {
	pub, bell, endpoint := hung(t)
	sub := open(t, zmq.SUB)
	check(t, sub.Connect(endpoint))
	for i := range 100 {
		subscribe := func() { check(t, sub.SetSubscribe(fmt.Sprint(i))) }
		reason := fmt.Sprintf("subscription %d, made when it was called", i)
		if i%2 == 0 {
			subscribe()
			reason = fmt.Sprintf("subscription %d, made before it was called", i)
		}
		waiting := rung(bell)
		if i%2 == 1 {
			subscribe()
		}
		for {
			check(t, heard(t, waiting, reason))
			if received(pub) > 0 {
				break
			}
			waiting = rung(bell)
		}
	}
}

// TestBell_EndsAllWaitingWhenItIsClosed, and what begins later.
func TestBell_EndsAllWaitingWhenItIsClosed(t *testing.T) {
	pub, bell, _ := hung(t)
	received(pub) // what binding has left
	one, two := rung(bell), rung(bell)
	bell.Close()
	for _, waiting := range []<-chan error{one, two, rung(bell)} {
		if heard(t, waiting, "the bell was closed") == nil {
			t.Error("Wait returned nil, though the bell was closed and nobody has subscribed")
		}
	}
}
