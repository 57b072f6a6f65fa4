package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
)

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

// Rights are those of an identity, whatever the key: with one key may be asked what
// was given to the other, and what is under way ends with that one's grant.
func TestCheck_AnotherKeysRightsEndWithIt(t *testing.T) {
	wide, narrow := newKey(t).Public(), newKey(t).Public()
	g, _ := newGate(t, "", newKey(t))
	grant := func(k PublicKey, topics ...string) Grant {
		return Grant{Key: k, Identity: "bob", Topics: topics, Expires: time.Now().Add(time.Hour)}
	}
	for i, step := range []struct {
		enrolled  []Grant
		evictions uint64
	}{
		{[]Grant{grant(wide, "T/", "U/"), grant(narrow, "T/")}, 0},
		{[]Grant{grant(wide, "T/", "U/"), grant(narrow, "T/")}, 0},
		{[]Grant{grant(narrow, "T/")}, 1},
		{[]Grant{grant(wide, "T/"), grant(narrow, "T/")}, 1},
		{[]Grant{grant(narrow, "T/")}, 1},
	} {
		g.Book().SetEnrolled(step.enrolled)
		g.Check()
		if n := g.Stats().Evictions.Load(); n != step.evictions {
			t.Errorf("step %d: %d evictions, want %d", i, n, step.evictions)
		}
		if _, verdict := g.admit(Recovery, narrow, ""); verdict != Welcome {
			t.Errorf("step %d: verdict %d", i, verdict)
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
