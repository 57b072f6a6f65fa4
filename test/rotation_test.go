package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// TestAccess_KeysAndGrantsChangeWhileMessagesFlow: a client's key is replaced in the
// order of the runbook and a grant is changed, and nobody misses anything; keys
// that are revoked lose their sessions within 5 s. (The server's key: see
// TestSubscriber_EnrolsAndRenewsByItself.)
func TestAccess_KeysAndGrantsChangeWhileMessagesFlow(t *testing.T) {
	t.Parallel()
	spanner := embedded(t, emulator.Options{})
	s, dir := newShop(t, spanner.Addr()), t.TempDir()
	secret, public := map[string]string{}, map[string]string{}
	for _, name := range []string{"server", "alice", "alice2", "bob", "dave", "carol"} {
		secret[name], public[name] = keygen(t, dir, name)
	}
	var file string
	var replica *harness.Replica
	// policy writes the access file, and waits until it is in force.
	policy := func(alice, carol, revoked string) (at time.Time) {
		t.Helper()
		inForce := func() int { return strings.Count(replica.Stderr(), "a new access file is in force") }
		before := 0
		if replica != nil {
			before = inForce()
		}
		file = write(t, dir, "access.yaml", fmt.Sprintf("identities:\n  - {name: alice, keys: [%s], topics: ['']}\n  - {name: bob, keys: [%q], topics: ['']}\n  - {name: dave, keys: [%q], topics: ['']}\n  - {name: carol, keys: [%q], topics: [%s]}\nrevoked: {identities: [%s]}\n",
			alice, public["bob"], public["dave"], public["carol"], carol, revoked))
		at = time.Now()
		if replica != nil {
			wait.Until(t, "the access file is in force", func() bool { return inForce() > before })
		}
		return at
	}
	one, both, two := fmt.Sprintf("%q", public["alice"]), fmt.Sprintf("%q, %q", public["alice"], public["alice2"]), fmt.Sprintf("%q", public["alice2"])
	policy(one, "Orders/", "")
	replica = harness.Serve(t, s.with("SPANCAST_HEARTBEAT", "1s", "SPANCAST_CURVE_SECRET_KEY_FILE", secret["server"], "SPANCAST_ACCESS_FILE", file))
	tail := func(who string, more ...string) *harness.Process {
		p := harness.Start(t, nil, append([]string{"tail", "--connect", replica.Endpoint, "--server-key", public["server"], "--secret-key-file", secret[who], "--format", "json", "--verify"}, more...)...)
		p.Logged("subscribed")
		return p
	}
	alice, bob, dave := tail("alice"), tail("bob"), tail("dave")
	carol := tail("carol", "--follow", "--topic", "Orders/", "--recover", replica.Recover)
	n, stop, ended := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		wait.Repeat(20*time.Millisecond, stop, func() { s.commit(n, "Orders"); n++ })
	}()

	// The key of a client: the new one beside the old one, then without it.
	policy(both, "Orders/", "")
	alice2 := tail("alice2")
	alice2.Printed(`"keys"`)
	alice.Stop()
	alice.Logged(`verified .*gaps=0 lost=0 .*unrecovered=0`)
	policy(two, "Orders/", "")
	// A grant: more, and less again.
	policy(two, "Orders/, Users/", "")
	if line := regexp.MustCompile(`.*a grant has ended.*`).FindString(replica.Stderr()); line != "" {
		t.Errorf("somebody was disturbed: %s", line)
	}
	policy(two, "Orders/", "")
	replica.Logged(`"a grant has ended[^"]*","domain":"recovery","identity":"carol"`)
	replica.Logged(`(?s)a grant has ended.*"connection let in","domain":"recovery","identity":"carol"`)
	// Revocation.
	took := []time.Duration{
		silencedAfter(t, replica, "bob", bob, alice2, func() time.Time { return policy(two, "Orders/", "bob") }),
		silencedAfter(t, replica, "dave", dave, alice2, func() time.Time { return policy(two, "Orders/", "bob, dave") }),
	}
	t.Logf("revoked keys lost their sessions after %s", took)
	if min(took[0], took[1]) > 5*time.Second {
		t.Errorf("revoked keys lost their sessions after %s", took)
	}
	close(stop) // what the others missed then, they have recovered
	<-ended
	last := fmt.Sprintf(`"keys":{"Id":"%d"}`, n-1)
	alice2.Printed(last)
	carol.Printed(last)
	for i := range n {
		id := fmt.Sprintf(`"keys":{"Id":"%d"}`, i)
		if !strings.Contains(alice.Stdout(), id) && !strings.Contains(alice2.Stdout(), id) {
			t.Errorf("alice did not get %d of %d", i, n)
		}
		if strings.Count(carol.Stdout(), id) != 1 {
			t.Errorf("carol got %d %d times", i, strings.Count(carol.Stdout(), id))
		}
	}
	replica.Stop()
}

// silencedAfter revokes, and tells after how long the last change came to who was
// revoked, while the other goes on.
func silencedAfter(t *testing.T, replica *harness.Replica, name string, who, other *harness.Process, revoke func() time.Time) time.Duration {
	t.Helper()
	who.Printed(`"keys"`)
	at := revoke()
	replica.Logged(`a grant has ended.*"identity":"` + name + `"`)
	lines := func(p *harness.Process) int { return strings.Count(p.Stdout(), "\n") }
	last, seen, others := time.Now(), lines(who), lines(other)
	wait.Until(t, "the other hears twenty more that "+name+" does not", func() bool {
		if now := lines(who); now != seen {
			last, seen, others = time.Now(), now, lines(other)
		}
		return lines(other) > others+20
	})
	return last.Sub(at)
}
