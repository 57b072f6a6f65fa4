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
		dr.guard.Close()
		dr.ctx.Term()
	})
	return dr
}

func (d *door) run(z *zmq.Socket) {
	defer close(d.done)
	defer z.Close()
	defer d.listener.Forget()
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
