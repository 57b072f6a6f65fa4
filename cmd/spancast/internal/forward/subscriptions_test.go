package forward_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/cmd/spancast/internal/forward"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// upstream is a publisher that connects to a forwarder, and what it is told that
// subscribers want.
type upstream struct {
	t *testing.T
	z *zmq.Socket
}

// forwarding runs a forwarder until the test ends.
func forwarding(t *testing.T) (*forward.Forwarder, *upstream) {
	t.Helper()
	f, err := forward.Open(forward.Options{Publishers: []string{"tcp://127.0.0.1:*"}, Subscribers: []string{"tcp://127.0.0.1:*"}, HWM: 100, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.Close()
	})
	u := &upstream{t, harness.Socket(t, zmq.XPUB)}
	check(t, errors.Join(u.z.SetXpubVerboser(1), u.z.SetRcvtimeo(harness.Patience), u.z.Connect(f.Publishers()[0])))
	return f, u
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hears checks what comes next, in any order: "+a/" is wanted, "-a/" not any more.
func (u *upstream) hears(want ...string) {
	u.t.Helper()
	got := make([]string, len(want))
	for i := range got {
		b, err := u.z.RecvBytes(0)
		check(u.t, err)
		got[i] = string("-+"[b[0]]) + string(b[1:])
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		u.t.Fatalf("a publisher hears %q, want %q", got, want)
	}
}

func subscribe(t *testing.T, endpoint, prefix string) *zmq.Socket {
	t.Helper()
	z := harness.Socket(t, zmq.SUB)
	check(t, errors.Join(z.SetSubscribe(prefix), z.Connect(endpoint)))
	return z
}

// TestSubscriptions_AreThoseOfConnections: nobody who takes back what he has not
// asked for takes it from others, however much he has asked for; and nothing is
// asked for when all have gone, whatever they asked for twice.
func TestSubscriptions_AreThoseOfConnections(t *testing.T) {
	f, up := forwarding(t)
	subscribe(t, f.Subscribers()[0], "a/")
	up.hears("+a/")
	c := harness.Raw(t, f.Subscribers()[0])
	c.Asks("-a/", "-a/", "+b/", "+b/", "-c/", "+d/")
	up.hears("+b/", "+d/")
	for i := range 40 {
		c.Asks(fmt.Sprintf("+%d/", i))
		up.hears(fmt.Sprintf("+%d/", i))
	}
	c.Asks("+a/", "-a/", "-a/", "-39/", "-39/", "+e/")
	up.hears("-39/", "+e/")
	other := subscribe(t, f.Subscribers()[0], "b/")
	wait.Until(t, "the other is there", func() bool { return f.Stats().Subscriptions.Load() == 1+2+39+1+1 })
	check(t, c.Close())
	left := []string{"-d/", "-e/"}
	for i := range 39 {
		left = append(left, fmt.Sprintf("-%d/", i))
	}
	up.hears(left...)
	check(t, other.Close())
	up.hears("-b/")
	wait.Until(t, "only the first is left", func() bool { return f.Stats().Subscriptions.Load() == 1 })
}

// TestSubscriptions_GoWithWhoComesAndGoes, again and again.
func TestSubscriptions_GoWithWhoComesAndGoes(t *testing.T) {
	f, up := forwarding(t)
	for range 50 {
		c := harness.Raw(t, f.Subscribers()[0])
		c.Asks("+a/", "+a/", "+b/")
		up.hears("+a/", "+b/")
		check(t, c.Close())
		up.hears("-a/", "-b/")
	}
	if n := f.Stats().Subscriptions.Load(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}
