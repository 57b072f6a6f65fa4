package access

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
)

func TestListener_ARevokedKeyLosesItsSession(t *testing.T) {
	alice, bob := newKey(t), newKey(t)
	for name, revoke := range map[string]func(*Gate){
		"removed":  func(g *Gate) { g.Book().SetPolicy(mustPolicy(t, policyOf(map[string]SecretKey{"alice": alice}))) },
		"banned":   func(g *Gate) { g.Ban("bob", time.Hour) },
		"narrowed": nil,
		"expired":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			domain, now := everyone, time.Now()
			g, log := newGate(t, policyOf(map[string]SecretKey{"alice": alice, "bob": bob}), newKey(t))
			switch name {
			case "narrowed": // what the recovery endpoint gives
				domain = Recovery
				revoke = func(g *Gate) {
					g.Book().SetPolicy(mustPolicy(t, strings.Replace(policyOf(map[string]SecretKey{"alice": alice}), "identities:\n", "identities:\n"+
						fmt.Sprintf("  - {name: bob, keys: [%q], topics: [Orders/]}\n", bob.Public()), 1)))
				}
			case "expired":
				var mu sync.Mutex
				g.book.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
				p := mustPolicy(t, policyOf(map[string]SecretKey{"alice": alice, "bob": bob}))
				for i := range p.Identities {
					if p.Identities[i].Name == "bob" {
						p.Identities[i].Expires = now.Add(time.Minute)
					}
				}
				g.Book().SetPolicy(p)
				revoke = func(*Gate) { mu.Lock(); now = now.Add(time.Hour); mu.Unlock() }
			}
			d := open(t, g, log, domain, true)
			a, b := d.connect(alice), d.connect(bob)
			a.hears()
			b.hears()
			g.Check()
			if n := g.Stats().Evictions.Load(); n != 0 {
				t.Fatalf("%d evictions without a reason", n)
			}
			revoke(g)
			g.Check()
			log.until(t, "a grant has ended", "identity=bob")
			if name == "narrowed" {
				log.until(t, "connection let in", "identity=bob") // he may come again, with less
				return
			}
			log.until(t, "connection refused", bob.Public().Short())
			b.silent(a)
		})
	}
}

func TestListener_BindsEachServerKey(t *testing.T) {
	alice, one, two := newKey(t), newKey(t), newKey(t)
	g, log := newGate(t, policyOf(map[string]SecretKey{"alice": alice}), one)
	d := open(t, g, log, everyone, true)
	first := d.listener.Bound()[0]
	a := d.connect(alice)
	a.hears()
	bound := func(n int) []Bound {
		t.Helper()
		for until := time.Now().Add(patience); time.Now().Before(until); a.hears() {
			if b := d.listener.Bound(); len(b) == n && b[n-1].Key != one.Public() {
				return b
			}
		}
		t.Fatalf("%v is bound", d.listener.Bound())
		return nil
	}
	g.SetServerKeys([]SecretKey{one, two})
	both := bound(2)
	if both[0] != first || both[1].Key != two.Public() || both[1].Endpoint == first.Endpoint {
		t.Fatalf("bound: %v, first %v", both, first)
	}
	b := dial(t, both[1].Endpoint, func(z *zmq.Socket) error { return SecureClient(z, alice, two.Public()) })
	b.hears()
	g.SetServerKeys([]SecretKey{two, two})
	c := dial(t, first.Endpoint, func(z *zmq.Socket) error { return SecureClient(z, alice, two.Public()) })
	c.hears()
	g.SetServerKeys([]SecretKey{two})
	a = c
	if now := bound(1); now[0].Endpoint != first.Endpoint {
		t.Errorf("bound: %v", now)
	}
	b.fallsSilent(c)
}

func TestShift_MovesPortsAndPaths(t *testing.T) {
	for in, want := range map[string]string{
		"tcp://127.0.0.1:5556": "tcp://127.0.0.1:5656", "tcp://*:5556": "tcp://*:5656", "tcp://[::1]:1": "tcp://[::1]:101",
		"tcp://127.0.0.1:*": "tcp://127.0.0.1:*", "tcp://127.0.0.1:0": "tcp://127.0.0.1:0", "ipc:///run/x": "ipc:///run/x.100",
	} {
		if got := Shift(in, 100); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
		if got := Shift(in, 0); got != in {
			t.Errorf("%s becomes %s", in, got)
		}
	}
}

// TestListener_CountsWhoNeverSaysWhoHeIs: connections that end without a
// handshake, or with faults in it.
func TestListener_CountsWhoNeverSaysWhoHeIs(t *testing.T) {
	alice := newKey(t)
	g, log := newGate(t, policyOf(map[string]SecretKey{"alice": alice}), newKey(t))
	d := open(t, g, log, everyone, true)
	a := d.connect(alice)
	a.hears()
	greeting := "\xff" + strings.Repeat("\x00", 8) + "\x7f\x03\x00CURVE" + strings.Repeat("\x00", 47)
	for what, text := range map[string]string{"silence": "", "a HELLO that is none": greeting + "\x04\xc8\x05HELLO" + strings.Repeat("\x00", 194)} {
		before := g.Stats().Dropped.Load()
		c, err := net.Dial("tcp", strings.TrimPrefix(d.listener.Bound()[0].Endpoint, "tcp://"))
		check(t, err)
		defer c.Close()
		_, err = c.Write([]byte(text))
		check(t, err)
		for end := time.Now().Add(patience); g.Stats().Dropped.Load() == before; a.hears() {
			if time.Now().After(end) {
				t.Fatalf("%s is not counted", what)
			}
		}
	}
	if n := g.Stats().Welcome.Load(); n != 1 {
		t.Errorf("%d were let in", n)
	}
}
