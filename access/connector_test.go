package access

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// A forwarder is an XSUB socket with a guard that notes which numbers came.
type forwarder struct {
	listener *Listener
	next     atomic.Uint64   // all before have come
	ahead    map[uint64]bool // that came over one connection before the other's
}

func openForwarder(t *testing.T, g *Gate, endpoint string) *forwarder {
	t.Helper()
	ctx, err := zmq.NewContext()
	check(t, err)
	guard, err := g.Guard(ctx)
	check(t, err)
	z, err := ctx.NewSocket(zmq.XSUB)
	check(t, err)
	check(t, errors.Join(z.SetLinger(0), z.SetRcvhwm(0), z.SetRcvtimeo(5*time.Millisecond)))
	f := &forwarder{ahead: make(map[uint64]bool)}
	f.listener, err = Listen(z, g, Publishers, []string{endpoint})
	check(t, err)
	_, err = z.SendBytes([]byte{1}, 0)
	check(t, err)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := f.listener.Tend(time.Now()); err != nil {
				t.Error(err)
			}
			b, properties, err := z.RecvBytesWithMetadata(0, PropertyKey, PropertyDescriptor)
			if err == nil {
				g.SeenWith(Publishers, properties)
				f.see(binary.BigEndian.Uint64(b))
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		f.listener.Forget()
		z.Close()
		guard.Close()
		ctx.Term()
	})
	return f
}

func (f *forwarder) see(n uint64) {
	next := f.next.Load()
	if next == 0 {
		next = n // before it the subscription was not there
	}
	if n >= next {
		f.ahead[n] = true
	}
	for ; f.ahead[next]; next++ {
		delete(f.ahead, next)
	}
	f.next.Store(next)
}

// TestConnector_KeysChangeWhileMessagesFlow: that of the forwarder in the order of
// the runbook, and our own; nothing is missing there. A publisher that nobody has
// named does not get in.
func TestConnector_KeysChangeWhileMessagesFlow(t *testing.T) {
	one, two, own, next, mallory := newKey(t), newKey(t), newKey(t), newKey(t), newKey(t)
	policy := "publishers: [replica]\nidentities:\n" + fmt.Sprintf("  - {name: replica, keys: [%q, %q]}\n  - {name: mallory, keys: [%q]}\n", own.Public(), next.Public(), mallory.Public())
	far, farLog := newGate(t, policy, one)
	f := openForwarder(t, far, "tcp://127.0.0.1:"+freePort(t, 100))
	at := f.listener.Bound()[0].Endpoint
	near, _ := newGate(t, "", own)
	near.SetForwarderKeys([]PublicKey{one.Public()})
	ctx, cancel := context.WithCancel(context.Background())
	var clock atomic.Int64 // how far the connector's is ahead
	sent, done := publishNumbers(t, ctx, at, near.Credentials, &clock)
	defer func() { cancel(); <-done }()
	flow := func(what string) {
		t.Helper()
		from := sent.Load()
		for end := time.Now().Add(patience); f.next.Load() < from+50; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d did not come, of %d", what, f.next.Load(), sent.Load())
			}
		}
	}
	retire := func() { clock.Add(int64(2 * Overlap)); flow("without the old connection") }
	flow("at first")
	connected := func(n int64) { // so many times in all, until the subscription has come
		t.Helper()
		for end := time.Now().Add(patience); sent.subscriptions.Load() < n; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d subscriptions came, want %d", sent.subscriptions.Load(), n)
			}
		}
	}
	// The forwarder listens with its new key too; we connect with both.
	far.SetServerKeys([]SecretKey{one, two})
	near.SetForwarderKeys([]PublicKey{one.Public(), two.Public()})
	connected(2)
	flow("two keys")
	// It has the new key everywhere; our second connection carries on.
	far.SetServerKeys([]SecretKey{two, two})
	near.SetForwarderKeys([]PublicKey{two.Public(), two.Public()})
	connected(3)
	retire()
	far.SetServerKeys([]SecretKey{two})
	near.SetForwarderKeys([]PublicKey{two.Public()})
	retire()
	// Our own.
	near.SetServerKeys([]SecretKey{next})
	connected(4)
	retire()
	far.Book().SetPolicy(mustPolicy(t, "publishers: [replica]\n"+fmt.Sprintf("identities: [{name: replica, keys: [%q]}]", next.Public())))
	far.Check()
	flow("with the new key of our own")
	if n := far.Stats().Evictions.Load(); n != 0 {
		t.Errorf("%d evictions for the sake of a key that nobody was connected with", n)
	}

	before := far.Stats().RefusedFor()
	bad, _ := newGate(t, "", mallory)
	bad.SetForwarderKeys([]PublicKey{two.Public()})
	far.Book().SetPolicy(mustPolicy(t, policy))
	_, ended := publishNumbers(t, ctx, at, bad.Credentials, &clock)
	defer func() { cancel(); <-ended }()
	farLog.until(t, "connection refused", "domain=publishers", "identity=mallory", "reason=other_domain")
	if after := far.Stats().RefusedFor(); after[NotHere] == before[NotHere] || after[NoGrant] != before[NoGrant] {
		t.Errorf("refused: %v, before %v", after, before)
	}
}

// numbers are those that were sent.
type numbers struct {
	atomic.Uint64
	subscriptions atomic.Int64
}

// publishNumbers connects an XPUB socket and sends one number after the other.
func publishNumbers(t *testing.T, ctx context.Context, at string, credentials func() *Credentials, ahead *atomic.Int64) (sent *numbers, done chan struct{}) {
	t.Helper()
	zctx, err := zmq.NewContext()
	check(t, err)
	z, err := zctx.NewSocket(zmq.XPUB)
	check(t, err)
	check(t, errors.Join(z.SetLinger(0), z.SetSndhwm(0), z.SetXpubVerboser(1), z.SetReconnectIvl(20*time.Millisecond)))
	c, err := Connect(z, []string{at}, credentials)
	check(t, err)
	sent, done = new(numbers), make(chan struct{})
	go func() {
		defer close(done)
		defer zctx.Term()
		defer z.Close()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if err := c.Tend(now.Add(time.Duration(ahead.Load()))); err != nil {
					t.Error(err)
				}
				for b, err := z.RecvBytes(zmq.DONTWAIT); err == nil; b, err = z.RecvBytes(zmq.DONTWAIT) {
					if b[0] == 1 {
						sent.subscriptions.Add(1)
					}
				}
				z.SendBytes(binary.BigEndian.AppendUint64(nil, sent.Add(1)), 0)
			}
		}
	}()
	return sent, done
}

// freePort is a port that is free, as is the one that is higher by shift. Both are
// below those that systems give to whoever connects.
func freePort(t *testing.T, shift int) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000)))
		if err != nil {
			continue
		}
		l.Close()
		endpoint := "tcp://" + l.Addr().String()
		if other, err := net.Listen("tcp", strings.TrimPrefix(Shift(endpoint, shift), "tcp://")); err == nil {
			other.Close()
			return strings.TrimPrefix(endpoint, "tcp://127.0.0.1:")
		}
	}
	t.Fatal("no two free ports")
	return ""
}
