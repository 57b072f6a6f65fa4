package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// patience is how long tests wait for what should come soon.
const patience = 60 * time.Second

// A door is a context with a guard and an XPUB socket, whose owner tends the
// listener and publishes a number under every topic of interest, again and again.
type door struct {
	t        *testing.T
	gate     *Gate
	guard    *Guard
	ctx      *zmq.Context
	listener *Listener
	log      *logbook

	stop, done chan struct{}
}

// logbook collects what is logged.
type logbook struct {
	mu    sync.Mutex
	lines []string
	wake  chan struct{}
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }
func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.wake)
	l.wake = make(chan struct{})
	return nil
}

// until waits for a line that has all the words, and returns it.
func (l *logbook) until(t testing.TB, words ...string) string {
	t.Helper()
	deadline := time.After(patience)
	for from := 0; ; {
		l.mu.Lock()
		lines, wake := l.lines[from:], l.wake
		from = len(l.lines)
		l.mu.Unlock()
		for _, line := range lines {
			if containsAll(line, words) {
				return line
			}
		}
		select {
		case <-wake:
		case <-deadline:
			t.Fatalf("nothing with %q was logged", words)
		}
	}
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

func newGate(t *testing.T, policy string, keys ...SecretKey) (*Gate, *logbook) {
	t.Helper()
	log := &logbook{wake: make(chan struct{})}
	return NewGate(NewBook(mustPolicy(t, policy), time.Now), keys, 100, slog.New(log)), log
}

// open opens a door to a domain. Without guard nobody stands there.
func open(t *testing.T, g *Gate, log *logbook, d Domain, guarded bool) *door {
	t.Helper()
	dr := &door{t: t, gate: g, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	var err error
	dr.ctx, err = zmq.NewContext()
	check(t, err)
	if guarded {
		dr.guard, err = g.Guard(dr.ctx)
		check(t, err)
	}
	z, err := dr.ctx.NewSocket(zmq.XPUB)
	check(t, err)
	check(t, errors.Join(z.SetHandshakeIvl(300*time.Millisecond), z.SetMaxmsgsize(512), z.SetLinger(0), z.SetXpubVerboser(1)))
	dr.listener, err = Listen(z, g, d, []string{"tcp://127.0.0.1:*"})
	check(t, err)
	go dr.run(z)
	t.Cleanup(func() {
		close(dr.stop)
		<-dr.done
		if dr.guard != nil {
			dr.guard.Close()
		}
		dr.ctx.Term()
	})
	return dr
}

func (d *door) run(z *zmq.Socket) {
	defer close(d.done)
	defer z.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-d.stop:
			return
		case now := <-tick.C:
			if err := d.listener.Tend(now); err != nil {
				d.t.Error(err)
			}
			for {
				if _, err := z.RecvBytes(zmq.DONTWAIT); err != nil {
					break
				}
			}
			z.SendMessage("topic/", n)
		}
	}
}

// A client is a SUB socket with a key.
type client struct {
	t *testing.T
	z *zmq.Socket
}

func (d *door) connect(key SecretKey) *client {
	b := d.listener.Bound()[0]
	return dial(d.t, b.Endpoint, func(z *zmq.Socket) error { return SecureClient(z, key, b.Key) })
}

func dial(t *testing.T, endpoint string, secure func(*zmq.Socket) error) *client {
	t.Helper()
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(zmq.SUB)
	check(t, err)
	t.Cleanup(func() { z.Close(); ctx.Term() })
	check(t, errors.Join(z.SetLinger(0), z.SetRcvtimeo(patience), z.SetReconnectIvl(20*time.Millisecond), z.SetSubscribe(""), secure(z), z.Connect(endpoint)))
	return &client{t, z}
}

// hears waits for a message.
func (c *client) hears() {
	c.t.Helper()
	if _, err := c.z.RecvMessageBytes(0); err != nil {
		c.t.Fatal("nothing is heard:", err)
	}
}

// silent drops what is queued and checks that nothing comes while the others do
// hear a hundred messages.
func (c *client) silent(other *client) {
	c.t.Helper()
	for {
		if _, err := c.z.RecvMessageBytes(zmq.DONTWAIT); err != nil {
			break
		}
	}
	for range 100 {
		other.hears()
	}
	if m, err := c.z.RecvMessageBytes(zmq.DONTWAIT); err == nil {
		c.t.Fatalf("got %q", m)
	}
}

// fallsSilent waits until nothing comes any more while the others do hear a
// hundred messages: what was on its way when the session was cut may still come.
func (c *client) fallsSilent(other *client) {
	c.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		came := false
		for range 100 {
			other.hears()
			if _, err := c.z.RecvMessageBytes(zmq.DONTWAIT); err == nil {
				came = true
			}
		}
		if !came {
			return
		}
	}
	c.t.Fatal("messages go on coming")
}

// policyOf grants everything to identities, one for each key.
func policyOf(keys map[string]SecretKey) string {
	text := "identities:\n"
	for name, k := range keys {
		text += fmt.Sprintf("  - {name: %s, keys: [%q], topics: [%q], tables: [%q]}\n", name, k.Public(), "", "*")
	}
	return text
}

const everyone = Domain("audience/" + Everyone)

func TestGuard_LetsInWhoIsKnownAndNobodyElse(t *testing.T) {
	server, alice, mallory := newKey(t), newKey(t), newKey(t)
	g, log := newGate(t, policyOf(map[string]SecretKey{"alice": alice}), server)
	d := open(t, g, log, everyone, true)
	a, m := d.connect(alice), d.connect(mallory)
	a.hears()
	log.until(t, "connection let in", "identity=alice", "key="+alice.Public().Short(), "address=127.0.0.1")
	log.until(t, "connection refused", "key="+mallory.Public().Short(), "for_good=false")
	// Nor one without CURVE, with a wrong server key, or with somebody's public key only.
	endpoint := d.listener.Bound()[0].Endpoint
	others := []*client{
		m,
		dial(t, endpoint, func(*zmq.Socket) error { return nil }),
		dial(t, endpoint, func(z *zmq.Socket) error { return errors.Join(z.SetPlainUsername("alice"), z.SetPlainPassword("")) }),
		dial(t, endpoint, func(z *zmq.Socket) error { return SecureClient(z, alice, newKey(t).Public()) }),
		dial(t, endpoint, func(z *zmq.Socket) error {
			return errors.Join(z.SetCurveServerkey(server.Public().String()), z.SetCurvePublickey(alice.Public().String()), z.SetCurveSecretkey(mallory.Reveal()))
		}),
	}
	for _, o := range others {
		o.silent(a)
	}
	if g.Stats().Welcome.Load() != 1 || g.Stats().Refused.Load() == 0 {
		t.Errorf("%d let in, %d refused", g.Stats().Welcome.Load(), g.Stats().Refused.Load())
	}
	for _, line := range log.lines {
		if strings.Contains(line, alice.Reveal()) || strings.Contains(line, server.Reveal()) {
			t.Errorf("a secret is logged: %s", line)
		}
	}
}

func TestGuard_LetsNobodyIntoAnothersDomain(t *testing.T) {
	alice, bob := newKey(t), newKey(t)
	policy := fmt.Sprintf(`
audiences:
  - {name: sales, topics: [Sales/], endpoints: ["tcp://127.0.0.1:1"], identities: [alice]}
  - {name: hr, topics: [HR/], endpoints: ["tcp://127.0.0.1:2"], identities: [bob]}
identities:
  - {name: alice, keys: [%q]}
  - {name: bob, keys: [%q]}`, alice.Public(), bob.Public())
	g, log := newGate(t, policy, newKey(t))
	sales, hr := open(t, g, log, "audience/sales", true), open(t, g, log, "audience/hr", true)
	inSales, inHR := sales.connect(alice), hr.connect(bob)
	inSales.hears()
	inHR.hears()
	sales.connect(bob).silent(inSales)
	hr.connect(alice).silent(inHR)
	log.until(t, "connection refused", "domain=audience/hr", "identity=alice")
}

func TestGuard_WhoIsUnknownGetsInOnceKnown(t *testing.T) {
	alice, late := newKey(t), newKey(t)
	g, log := newGate(t, policyOf(map[string]SecretKey{"alice": alice}), newKey(t))
	d := open(t, g, log, everyone, true)
	a, l := d.connect(alice), d.connect(late)
	a.hears()
	log.until(t, "connection refused", late.Public().Short())
	l.silent(a)
	g.Book().SetEnrolled([]Grant{{Key: late.Public(), Identity: "late", Audiences: []string{Everyone}, Expires: time.Now().Add(time.Hour)}})
	l.hears()
}

func TestGuard_WhoIsRevokedIsToldForGood(t *testing.T) {
	bob := newKey(t)
	p := mustPolicy(t, policyOf(map[string]SecretKey{"bob": bob}))
	p.Revoked.Identities = []string{"bob"}
	g, log := newGate(t, "", newKey(t))
	g.Book().SetPolicy(p)
	d := open(t, g, log, everyone, true)
	b := d.connect(bob)
	log.until(t, "connection refused", bob.Public().Short(), "for_good=true")
	refused := g.Stats().Refused.Load()
	a := newKey(t)
	g.Book().SetPolicy(mustPolicy(t, policyOf(map[string]SecretKey{"alice": a, "bob": bob})))
	b.silent(d.connect(a)) // libzmq gave up
	if n := g.Stats().Refused.Load(); n != refused {
		t.Errorf("asked again: %d, %d", refused, n)
	}
}

func TestSecure_FailsClosed(t *testing.T) {
	alice := newKey(t)
	g, log := newGate(t, policyOf(map[string]SecretKey{"alice": alice}), newKey(t))
	guarded, open := open(t, g, log, everyone, true), open(t, g, log, everyone, false)
	a := guarded.connect(alice)
	a.hears()
	open.connect(alice).silent(a) // no guard in that context: a known key, but nobody to ask
	if why := g.Trouble(); why != nil {
		t.Errorf("trouble: %v", why)
	}
	guarded.guard.broken <- errors.New("broken for the test")
	log.until(t, "the ZAP handler has failed")
	if why := g.Trouble(); len(why) != 1 || !strings.Contains(why[0], "broken for the test") {
		t.Errorf("trouble: %v", why)
	}
	guarded.connect(alice).silent(a) // who is in stays
}

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

func TestCheck_WhatWasGivenSinceCanBeTakenAgain(t *testing.T) {
	bob := newKey(t)
	policy := func(topics string) *Policy {
		return mustPolicy(t, fmt.Sprintf("identities: [{name: bob, keys: [%q], topics: %s}]", bob.Public(), topics))
	}
	g, _ := newGate(t, "", newKey(t))
	for _, step := range []struct {
		topics    string
		evictions uint64
	}{{"[T/]", 0}, {"[T/, U/]", 0}, {"[T/]", 1}} {
		g.Book().SetPolicy(policy(step.topics))
		g.Check()
		if n := g.Stats().Evictions.Load(); n != step.evictions {
			t.Errorf("%s: %d evictions, want %d", step.topics, n, step.evictions)
		}
		if _, verdict := g.admit(Recovery, bob.Public(), ""); verdict != Welcome {
			t.Errorf("%s: verdict %d", step.topics, verdict)
		}
	}
}
