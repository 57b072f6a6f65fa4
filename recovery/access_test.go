package recovery_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// keyed is a client with a key, and with a routing id of its choice if there is
// one.
func (f *fixture) keyed(key access.SecretKey, id ...string) *client {
	f.Helper()
	c := &client{f, harness.Socket(f, zmq.DEALER)}
	if len(id) > 0 {
		must(f, c.z.SetIdentity(id[0]))
	}
	must(f, errors.Join(c.z.SetRcvhwm(0), c.z.SetSndhwm(0), c.z.SetReconnectIvl(20*time.Millisecond),
		access.SecureClient(c.z, key, f.recovery.Bound()[0].Key), c.z.Connect(f.endpoint)))
	return c
}

// TestAccess_EachIdentityHasItsOwnGrants, per topic and per table, on every
// request; and whoever has none does not get in.
func TestAccess_EachIdentityHasItsOwnGrants(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	keys := map[string]access.SecretKey{}
	for _, name := range []string{"server", "alice", "bob", "carol"} {
		k, err := access.NewKey()
		must(t, err)
		keys[name] = k
	}
	policy := func(bob string) *access.Policy {
		p, err := access.ParsePolicy(fmt.Appendf(nil, "identities:\n  - {name: alice, keys: [%q], topics: [\"\"], tables: [\"*\"]}\n  - {name: bob, keys: [%q], %s}\n  - {name: carol, keys: [%q]}\n",
			keys["alice"].Public(), keys["bob"].Public(), bob, keys["carol"].Public()))
		must(t, err)
		return p
	}
	gate := access.NewGate(access.NewBook(policy("topics: [T/], tables: [T]"), time.Now), []access.SecretKey{keys["server"]}, 100, f.opt.Log)
	f.opt.Access = gate
	f.serve()
	last := f.commit(20)
	ask := func(c *client, id, command string, q any) *answered {
		t.Helper()
		c.send(command, q)
		for {
			m := c.next()
			if m.id == id && (m.kind == message.End || m.kind == message.Failed || m.kind == message.Gone) {
				return m
			}
		}
	}
	n := 0
	check := func(who string, c *client, topics, tables []string, want string) {
		t.Helper()
		n++
		id := fmt.Sprint("r", n)
		var m *answered
		if topics != nil {
			m = ask(c, id, message.CommandReplay, message.ReplayRequest{ID: id, Topics: topics, From: message.FormatTime(f.began), To: message.FormatTime(last), Credit: plenty})
		} else {
			m = ask(c, id, message.CommandSnapshot, message.SnapshotRequest{ID: id, Tables: tables, Credit: plenty})
		}
		var e message.ErrorBody
		json.Unmarshal([]byte(m.body), &e)
		if e.Code != want {
			t.Errorf("%s asks for topics %q, tables %q: %s %s", who, topics, tables, m.kind, m.body)
		}
	}
	alice, bob := f.keyed(keys["alice"]), f.keyed(keys["bob"])
	check("alice", alice, []string{""}, nil, "")
	check("alice", alice, nil, nil, "")
	check("bob", bob, []string{"T/"}, nil, "")
	check("bob", bob, []string{"T/UPDATE/"}, nil, "")
	check("bob", bob, []string{"U/"}, nil, message.Denied)
	check("bob", bob, []string{"T/", "U/"}, nil, message.Denied)
	check("bob", bob, []string{""}, nil, message.Denied)
	check("bob", bob, nil, []string{"T"}, "")
	check("bob", bob, nil, []string{"T", "U"}, message.Denied)
	check("bob", bob, nil, nil, message.Denied)
	// Carol has nothing to ask for, and does not get in.
	carol := f.keyed(keys["carol"])
	carol.send(message.CommandHello, message.HelloRequest{ID: "h"})
	check("alice", alice, []string{"U/"}, nil, "")
	if m := carol.receive(500 * time.Millisecond); m != nil {
		t.Errorf("carol got %+v", m)
	}
	// More is granted: at once, on the connection that there is.
	gate.Book().SetPolicy(policy("topics: [T/, U/], tables: [T]"))
	gate.Check()
	check("bob", bob, []string{"U/"}, nil, "")
	// Less is granted: an answer that is open ends with its connection.
	bob.send(message.CommandReplay, message.ReplayRequest{ID: "open", Topics: []string{"U/"}, From: message.FormatTime(f.began), Credit: plenty})
	for m := bob.next(); m.kind != message.Live; m = bob.next() {
	}
	gate.Book().SetPolicy(policy("topics: [T/], tables: [T]"))
	gate.Check()
	if n := gate.Stats().Evictions.Load(); n != 1 {
		t.Errorf("%d evictions", n)
	}
	for end := time.Now().Add(patience); ; {
		if m := bob.receive(time.Second); m == nil {
			break // nothing more comes, not even $replay/, which came every second
		} else if time.Now().After(end) {
			t.Fatalf("the answer goes on: %+v", m)
		}
	}
	f.commit(20)
	bob = f.keyed(keys["bob"])
	check("bob", bob, []string{"U/"}, nil, message.Denied)
	check("bob", bob, []string{"T/"}, nil, "")
}

// TestAccess_ARoutingIDIsNobodysRight: it is the client's choice. Who takes that of
// another identity, as soon as that one has gone, gets nothing of its answers; nor
// can he cancel or feed them while it is there.
func TestAccess_ARoutingIDIsNobodysRight(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	server, alice, mallory := newKey(t), newKey(t), newKey(t)
	policy, err := access.ParsePolicy(fmt.Appendf(nil, "identities:\n  - {name: alice, keys: [%q], topics: [\"\"]}\n  - {name: mallory, keys: [%q], topics: [Nothing/]}\n", alice.Public(), mallory.Public()))
	must(t, err)
	f.opt.Access = access.NewGate(access.NewBook(policy, time.Now), []access.SecretKey{server}, 100, f.opt.Log)
	f.serve()
	f.commit(5)
	// While the server has not noticed that whoever had the routing id has gone,
	// libzmq is deaf to the next one, for good: then that round does not count.
	for rounds, end := 0, time.Now().Add(patience); rounds < 5; {
		if time.Now().After(end) {
			t.Fatalf("mallory got alice's routing id %d times only", rounds)
		}
		a := f.keyed(alice, "same")
		a.send(message.CommandReplay, message.ReplayRequest{ID: "open", Topics: []string{""}, From: message.FormatTime(f.began), Credit: plenty})
		got := a.receive(time.Second)
		for got != nil && got.kind != message.Live {
			got = a.receive(time.Second)
		}
		before := f.recovery.Stats().Dropped.Load()
		a.close()
		if got == nil {
			continue
		}
		m := f.keyed(mallory, "same")
		f.commit(5)
		wait.Until(f, "alice's answer is given up", func() bool { return f.recovery.Stats().Dropped.Load() > before })
		m.send(message.CommandHello, message.HelloRequest{ID: "mine"})
		if got = m.receive(time.Second); got != nil {
			rounds++
			if got.id != "mine" {
				t.Fatalf("mallory got %s %s", got.topic, got.body)
			}
		}
		m.close()
	}
}

func newKey(t testing.TB) access.SecretKey {
	t.Helper()
	k, err := access.NewKey()
	must(t, err)
	return k
}
