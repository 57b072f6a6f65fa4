package access

import (
	"errors"
	"testing"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// TestReceiveSubscription_TellsWhoseItIs: of each of two connections of one key too;
// and passes over what is no subscription.
func TestReceiveSubscription_TellsWhoseItIs(t *testing.T) {
	alice := newKey(t)
	g, _ := newGate(t, policyOf(map[string]SecretKey{"alice": alice}), newKey(t))
	z := harness.Socket(t, zmq.XPUB)
	ctx, err := z.Context()
	check(t, err)
	guard, err := g.Guard(ctx)
	check(t, err)
	defer guard.Close()
	check(t, z.SetXpubVerboser(1))
	l, err := Listen(z, g, everyone, []string{"tcp://127.0.0.1:*"})
	check(t, err)
	defer l.Forget()
	for _, prefix := range []string{"a/", "b/"} {
		c := harness.Socket(t, zmq.XSUB)
		b := l.Bound()[0]
		check(t, errors.Join(SecureClient(c, alice, b.Key), c.Connect(b.Endpoint)))
		for _, text := range []string{"\x02", "\x01" + prefix, "\x00" + prefix} {
			_, err := c.Send(text, 0)
			check(t, err)
		}
	}
	var all []*Subscription
	others := 0
	wait.Until(t, "both have subscribed, and taken it back", func() bool {
		s, came, err := ReceiveSubscription(z)
		check(t, err)
		if s != nil {
			all = append(all, s)
		} else if came {
			others++
		}
		return len(all) == 4 && others == 2
	})
	numbers := make(map[string]string)
	for _, s := range all {
		if s.Identity != "alice" || s.Key != alice.Public().String() || s.Address != "127.0.0.1" || s.Descriptor == "" {
			t.Errorf("%+v", s)
		}
		if s.On {
			numbers[s.Prefix] = s.number
		}
	}
	for _, s := range all {
		if s.number != numbers[s.Prefix] {
			t.Errorf("%+v came over another connection than it began", s)
		}
	}
	if numbers["a/"] == "" || numbers["a/"] == numbers["b/"] {
		t.Errorf("numbers %q", numbers)
	}
}
