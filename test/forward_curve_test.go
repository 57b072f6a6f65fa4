package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestForward_RefusesAnOpenPort that is not protected, on either end, in one line
// that says how.
func TestForward_RefusesAnOpenPort(t *testing.T) {
	t.Parallel()
	status, _, stderr := harness.Run(t, map[string]string{"SPANCAST_FORWARD_BIND": "tcp://0.0.0.0:5555"}, "forward")
	if status != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "SPANCAST_FORWARD_BIND: tcp://0.0.0.0:5555 is not a loopback address") ||
		!strings.Contains(stderr, "SPANCAST_CURVE_SECRET_KEY_FILE") || !strings.Contains(stderr, "SPANCAST_ACCESS_FILE") {
		t.Errorf("forward: exit status %d:\n%s", status, stderr)
	}
	status, _, stderr = harness.Run(t, map[string]string{"SPANCAST_DATABASE": "projects/p/instances/i/databases/d", "SPANCAST_CHANGE_STREAM": "S",
		"SPANCAST_CONNECT": "tcp://10.0.0.5:5555"}, "serve")
	if status != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "SPANCAST_CONNECT: tcp://10.0.0.5:5555 is not a loopback address") ||
		!strings.Contains(stderr, "set SPANCAST_CONNECT_SERVER_KEY") || !strings.Contains(stderr, "SPANCAST_ALLOW_INSECURE=true") {
		t.Errorf("serve: exit status %d:\n%s", status, stderr)
	}
}

// TestForward_WithCurveLetsInWhoIsNamed: publishers by name, subscribers as
// members of the audience; and what is published arrives.
func TestForward_WithCurveLetsInWhoIsNamed(t *testing.T) {
	t.Parallel()
	s, dir := newShop(t, spannerdb.Host(t)), t.TempDir()
	secret, public := map[string]string{}, map[string]string{}
	for _, name := range []string{"forwarder", "replica", "alice", "bob"} {
		secret[name], public[name] = keygen(t, dir, name)
	}
	policy := func(publishers string) string {
		return fmt.Sprintf(`
audiences: [{name: readers, topics: [""], identities: [alice]}]
publishers: %s
identities:
  - {name: alice, keys: [%q]}
  - {name: bob, keys: [%q]}
  - {name: replica, keys: [%q]}
`, publishers, public["alice"], public["bob"], public["replica"])
	}
	file := write(t, dir, "access.yaml", policy("[replica]"))
	f := harness.Start(t, map[string]string{"SPANCAST_FORWARD_BIND": "tcp://0.0.0.0:*", "SPANCAST_BIND": "tcp://0.0.0.0:*", "SPANCAST_HTTP": "none",
		"SPANCAST_CURVE_SECRET_KEY_FILE": secret["forwarder"], "SPANCAST_ACCESS_FILE": file, "SPANCAST_LOG_FORMAT": "json"}, "forward")
	at := f.Logged(`forwarding from publishers at tcp://0.0.0.0:(\d+) to subscribers at tcp://0.0.0.0:(\d+)"`)
	in, out := "tcp://127.0.0.1:"+at[1], "tcp://127.0.0.1:"+at[2]

	env := s.with("SPANCAST_BIND", "none", "SPANCAST_RECOVERY_BIND", "none", "SPANCAST_HTTP", "none", "SPANCAST_HEARTBEAT", "1s", "SPANCAST_CONNECT", in, "SPANCAST_REQUIRE_SUBSCRIBER", "true",
		"SPANCAST_CURVE_SECRET_KEY_FILE", secret["replica"], "SPANCAST_CONNECT_SERVER_KEY_FILE", write(t, dir, "forwarder.pub", public["forwarder"]))
	replica := harness.Start(t, env, "serve")
	f.Logged(`"message":"connection let in","domain":"publishers","identity":"replica"`)

	tail := func(who string) *harness.Process {
		return harness.Start(t, nil, "tail", "--connect", out, "--server-key", public["forwarder"], "--secret-key-file", secret[who], "--verify", "--format", "json")
	}
	alice, bob := tail("alice"), tail("bob")
	clear := harness.Start(t, nil, "tail", "--connect", out)
	alice.Logged("subscribed")
	f.Logged(`"message":"connection let in","domain":"audience/readers","identity":"alice"`)
	f.Logged(`"message":"connection refused","domain":"audience/readers".*"identity":"bob","reason":"other_domain"`)
	const n = 30
	for i := range n {
		s.commit(i, "Orders")
	}
	alice.Printed(fmt.Sprintf(`"keys":{"Id":"%d"}`, n-1))
	for name, p := range map[string]*harness.Process{"bob": bob, "somebody without a key": clear} {
		if out := p.Stdout(); out != "" {
			t.Errorf("%s got\n%s", name, out)
		}
	}
	alice.Stop()
	alice.Logged(fmt.Sprintf("verified changes=%d duplicates=0 gaps=0 lost=0", n))

	// A publisher that is not named any more is put out.
	write(t, dir, "access.yaml", policy("[]"))
	f.Logged(`"message":"a grant has ended[^"]*","domain":"publishers","identity":"replica"`)
	f.Logged(`"message":"connection refused","domain":"publishers".*"identity":"replica","reason":"other_domain"`)
	replica.Stop()
	f.Stop()
}
