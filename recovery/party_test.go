package recovery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/recovery"
)

// crowded is an endpoint with one client of alice's, and as many of mallory's as
// are asked for.
func crowded(t *testing.T, configure func(*recovery.Options)) (f *fixture, alice *client, mallory func() *client) {
	t.Helper()
	f = newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	server, a, m := newKey(t), newKey(t), newKey(t)
	policy, err := access.ParsePolicy(fmt.Appendf(nil, "identities:\n  - {name: alice, keys: [%q], topics: [\"\"]}\n  - {name: mallory, keys: [%q], topics: [\"\"]}\n", a.Public(), m.Public()))
	must(t, err)
	f.opt.Access = access.NewGate(access.NewBook(policy, time.Now), []access.SecretKey{server}, 100, f.opt.Log)
	f.opt.NoCredit = time.Hour
	configure(&f.opt)
	f.serve()
	f.commit(20)
	return f, f.keyed(a), func() *client { return f.keyed(m) }
}

// waits checks that the first message of an answer says how many are before.
func (c *client) waits(id string, before int) {
	c.f.Helper()
	var body message.WaitBody
	if last(c.f, []*answered{c.until("an answer to "+id, func(m *answered) bool { return m.id == id })}, message.Wait, &body); body.Before != before {
		c.f.Errorf("%d before, want %d", body.Before, before)
	}
}

// begins checks that the next message says that the turn has come.
func (c *client) begins() {
	c.f.Helper()
	if m := c.next(); m.topic != message.Begin {
		c.f.Fatalf("%s %s", m.topic, m.body)
	}
}

// until passes over messages until one is as it should be, and returns that.
func (c *client) until(what string, is func(*answered) bool) *answered {
	c.f.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if m := c.next(); is(m) {
			return m
		} else if m.kind == message.Failed {
			c.f.Fatalf("%s: %s", what, m.body)
		}
	}
	c.f.Fatalf("in vain: %s", what)
	return nil
}

func isLive(m *answered) bool { return m.topic == message.Live }

// However many connections an identity has, there is a place for the others.
func TestParty_LeavesAPlaceToOthers(t *testing.T) {
	t.Parallel()
	_, alice, mallory := crowded(t, func(o *recovery.Options) { o.Running = 4 })
	for range 3 {
		m := mallory()
		m.hold("m")
		m.begins()
	}
	m := mallory()
	m.hold("m")
	m.waits("m", 0)
	alice.ask("a", plenty, message.Now)
	alice.begins()
	if n := len(changes(alice.collect("a"))); n != 20 {
		t.Errorf("%d changes", n)
	}
}

// Nor may they all be live, or all the line be its own.
func TestParty_LeavesThemTheLineAndLivePlacesToo(t *testing.T) {
	t.Parallel()
	_, alice, mallory := crowded(t, func(o *recovery.Options) { o.Running, o.Following, o.Waiting = 1, 4, 4 })
	for range 3 {
		m := mallory()
		m.ask("m", plenty, "")
		m.until("mallory is live", isLive)
	}
	for i := range 3 {
		m := mallory()
		m.ask("m", plenty, "")
		m.waits("m", i)
	}
	m := mallory()
	m.ask("m", plenty, "")
	failedWith(t, []*answered{m.next()}, message.TooMany)
	alice.ask("a", plenty, "")
	alice.begins()
	alice.until("alice is live", isLive)
}

// Turns go from identity to identity, within one from client to client.
func TestParty_HasOneTurnForAllItsClients(t *testing.T) {
	t.Parallel()
	_, alice, mallory := crowded(t, func(o *recovery.Options) { o.Running = 1 })
	m := mallory()
	m.hold("m")
	m.begins()
	for i := range 3 {
		m := mallory()
		m.hold("m")
		m.waits("m", i)
	}
	alice.ask("a", plenty, message.Now)
	alice.waits("a", 1)
	alice.ask("b", plenty, message.Now)
	alice.waits("b", 3)
}

// Whose answers wait for credit, makes room for more of his own.
func TestParty_StandsInItsOwnWay(t *testing.T) {
	t.Parallel()
	_, alice, mallory := crowded(t, func(o *recovery.Options) { o.Running = 2 })
	stall := func(c *client) {
		c.ask("s", message.Credit{Messages: 5, Bytes: 1 << 20}, message.Now)
		c.until("all that was granted is used", func(m *answered) bool { return m.count == 5 })
	}
	stall(alice)
	var all []*client
	for range 5 { // four may wait for credit
		m := mallory()
		stall(m)
		all = append(all, m)
	}
	failedWith(t, []*answered{all[0].until("mallory's first is let go", func(m *answered) bool { return m.kind == message.Failed })}, message.NoCredit)
	alice.send(message.CommandCredit, message.CreditRequest{ID: "s", Credit: plenty})
	if n := len(changes(alice.collect("s"))); n != 15 {
		t.Errorf("%d changes", n)
	}
}
