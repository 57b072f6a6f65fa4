package zsock_test

import (
	"fmt"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// rung waits in another goroutine.
func rung(b *zsock.Bell) <-chan error {
	done := make(chan error, 1)
	go func() { done <- b.Wait() }()
	return done
}

func heard(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(testPatience):
		t.Fatal("nothing was heard")
		return nil
	}
}

// TestBell_RingsForEverySubscription: whether somebody waits for it at that moment
// or not, and not when there is nothing.
func TestBell_RingsForEverySubscription(t *testing.T) {
	pub := open(t, zmq.XPUB)
	endpoint := bind(t, pub)
	bell, err := zsock.NewBell(pub)
	check(t, err)
	read := func() (n int) {
		for {
			if _, err := pub.RecvBytes(zmq.DONTWAIT); err != nil {
				return n
			}
			n++
		}
	}
	sub := open(t, zmq.SUB)
	check(t, sub.Connect(endpoint))
	for i := range 100 {
		subscribe := func() { check(t, sub.SetSubscribe(fmt.Sprint(i))) }
		if i%2 == 0 {
			subscribe()
		}
		waiting := rung(bell)
		if i%2 == 1 {
			subscribe()
		}
		for {
			check(t, heard(t, waiting))
			if read() > 0 {
				break
			}
			waiting = rung(bell)
		}
	}
	waiting := rung(bell)
	bell.Close()
	if heard(t, waiting) == nil {
		t.Error("it rang for nothing, or does not end")
	}
}
