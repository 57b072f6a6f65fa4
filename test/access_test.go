package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// keygen makes a key with the command, and returns its file and public key.
func keygen(t *testing.T, dir, name string) (path, public string) {
	t.Helper()
	path = filepath.Join(dir, name)
	status, stdout, stderr := harness.Run(t, nil, "keygen", "--out", path)
	if status != 0 {
		t.Fatalf("keygen: %d, %s", status, stderr)
	}
	return path, strings.TrimSpace(stdout)
}

// write writes a file.
func write(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeygen_WritesAKeyThatOnlyItsOwnerReads(t *testing.T) {
	t.Parallel()
	path, public := keygen(t, t.TempDir(), "key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || len(public) != 40 {
		t.Errorf("%v, %v, public key %q", info, err, public)
	}
	if status, stdout, _ := harness.Run(t, nil, "keygen", "--public", path); status != 0 || strings.TrimSpace(stdout) != public {
		t.Errorf("--public: %d, %q, want %q", status, stdout, public)
	}
	if status, _, stderr := harness.Run(t, nil, "keygen", "--out", path); status != 1 || !strings.Contains(stderr, "exists, and is not overwritten") {
		t.Errorf("an existing file: %d, %s", status, stderr)
	}
	if status, stdout, _ := harness.Run(t, nil, "keygen"); status != 0 || !strings.Contains(stdout, "secret ") || !strings.Contains(stdout, "public ") {
		t.Errorf("without a file: %d, %s", status, stdout)
	}
}

// TestServe_RefusesAnOpenPort that is not protected, in one line that says how.
func TestServe_RefusesAnOpenPort(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SPANCAST_DATABASE": "projects/p/instances/i/databases/d", "SPANCAST_CHANGE_STREAM": "S", "SPANCAST_BIND": "tcp://0.0.0.0:5556"}
	status, _, stderr := harness.Run(t, env, "serve")
	if status != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "SPANCAST_BIND: tcp://0.0.0.0:5556 is not a loopback address") ||
		!strings.Contains(stderr, "SPANCAST_CURVE_SECRET_KEY_FILE") || !strings.Contains(stderr, "SPANCAST_ACCESS_FILE") || !strings.Contains(stderr, "SPANCAST_ALLOW_INSECURE=true") {
		t.Errorf("exit status %d:\n%s", status, stderr)
	}
}

// TestServe_LetsInByTheAccessFile: on an open port, with audiences, while the
// file changes.
func TestServe_LetsInByTheAccessFile(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	dir := t.TempDir()
	serverFile, server := keygen(t, dir, "server")
	aliceFile, alice := keygen(t, dir, "alice")
	bobFile, bob := keygen(t, dir, "bob")
	policy := func(members string) string {
		return write(t, dir, "access.yaml", fmt.Sprintf(`
audiences:
  - {name: all, topics: [""], identities: %s}
  - {name: users, topics: [Users/], endpoints: ["tcp://0.0.0.0:*"], identities: [bob]}
identities:
  - {name: alice, keys: [%q]}
  - {name: bob, keys: [%q]}
`, members, alice, bob))
	}
	file := policy("[alice]")
	replica := harness.Serve(t, s.with("SPANCAST_BIND", "tcp://0.0.0.0:*", "SPANCAST_RECOVERY_BIND", "none", "SPANCAST_HTTP", "127.0.0.1:0", "SPANCAST_CURVE_SECRET_KEY_FILE", serverFile, "SPANCAST_ACCESS_FILE", file))
	endpoints := strings.Split(replica.Logged(`publishing on ([^;"]+?)(?:, recovery on [^;"]+)?;`)[1], ", ")
	if len(endpoints) != 2 {
		t.Fatalf("endpoints %q", endpoints)
	}
	for i := range endpoints {
		endpoints[i] = strings.Replace(endpoints[i], "0.0.0.0", "127.0.0.1", 1)
	}
	tail := func(endpoint, secret string, more ...string) *harness.Process {
		args := []string{"tail", "--connect", endpoint, "--server-key", server, "--secret-key-file", secret}
		return harness.Start(t, nil, append(args, more...)...)
	}
	page := replica.Logged(`status page: (http://[0-9.:]+)`)[1]
	faulty := func() float64 {
		t.Helper()
		return metric(t, page, `spancast_config_reloads_total{result="error"}`)
	}
	if n := faulty(); n != 0 { // it is there before the first, or an alert would not see an increase
		t.Errorf("%v files with faults at the start", n)
	}
	a, b := tail(endpoints[0], aliceFile), tail(endpoints[0], bobFile)
	inUsers := tail(endpoints[1], bobFile, "--verify")
	a.Logged("subscribed")
	inUsers.Logged("subscribed")
	replica.Logged(`"message":"connection refused","domain":"audience/all","key":"` + regexp.QuoteMeta(bob[:8]) + `"`)
	b.Logged("nobody answers yet.*has our public key")
	s.commit(1, "Orders", "Users")
	a.Printed("Orders  Id=1")
	a.Printed("Users  Id=1")
	inUsers.Printed("Users  Id=1")
	// Bob becomes a member, and gets in without anybody's help.
	policy("[alice, bob]")
	replica.Logged("a new access file is in force")
	b.Logged("subscribed")
	// Alice is no member any more, and loses her session.
	policy("[bob]")
	changed := time.Now()
	replica.Logged(`a grant has ended.*"identity":"alice"`)
	if d := time.Since(changed); d > 5*time.Second {
		t.Errorf("the session ended after %s", d)
	}
	replica.Logged(`connection refused","domain":"audience/all","key":"` + regexp.QuoteMeta(alice[:8]) + `"`)
	seen := a.Stdout()
	for i := range 100 { // until Bob, who connects again, hears something
		s.commit(10+i, "Orders", "Users")
		if strings.Contains(b.Stdout(), "Orders  Id=1") {
			break
		}
	}
	b.Printed("Orders  Id=1")
	if a.Stdout() != seen {
		t.Errorf("Alice still hears: %s", strings.TrimPrefix(a.Stdout(), seen))
	}
	if strings.Contains(inUsers.Stdout(), "Orders") {
		t.Errorf("an audience sees what is not for it: %s", inUsers.Stdout())
	}
	// A file with faults changes nothing.
	write(t, dir, "access.yaml", "audiences: x")
	replica.Logged("the new access file is not used")
	if n := faulty(); n != 1 {
		t.Errorf("%v files with faults are counted", n)
	}
	for _, secret := range []string{serverFile, aliceFile, bobFile} {
		text, _ := os.ReadFile(secret)
		if strings.Contains(replica.Stderr()+a.Stderr()+b.Stderr(), strings.TrimSpace(string(text))) {
			t.Error("a secret key is logged")
		}
	}
	replica.Stop()
}

// TestTail_WithoutGrantsGoesLive: an identity that may hear what is published
// and may not ask for anything, or not for this, is live all the same, and is
// told what that means. What it asks for by name it does not get.
func TestTail_WithoutGrantsGoesLive(t *testing.T) {
	t.Parallel()
	spanner := embedded(t, emulator.Options{})
	s := newShop(t, spanner.Addr())
	dir := t.TempDir()
	serverFile, server := keygen(t, dir, "server")
	noneFile, none := keygen(t, dir, "none")
	otherFile, other := keygen(t, dir, "other")
	file := write(t, dir, "access.yaml", fmt.Sprintf("identities:\n  - {name: none, keys: [%q]}\n  - {name: other, keys: [%q], topics: [Users/]}\n", none, other))
	replica := harness.Serve(t, s.with("SPANCAST_CURVE_SECRET_KEY_FILE", serverFile, "SPANCAST_ACCESS_FILE", file))
	tail := func(secret string, more ...string) *harness.Process {
		args := []string{"tail", "--connect", replica.Endpoint, "--server-key", server, "--secret-key-file", secret, "--topic", "Orders/"}
		return harness.Start(t, nil, append(args, more...)...)
	}
	unknown, denied, since := tail(noneFile), tail(otherFile), tail(otherFile, "--since", "1m")
	denied.Logged("may not ask for what is lost.*Orders/.*is not granted")
	unknown.Logged("no recovery endpoint answers, or none lets this identity in")
	for _, p := range []*harness.Process{unknown, denied} {
		p.Logged("subscribed")
	}
	s.commit(1, "Orders")
	for _, p := range []*harness.Process{unknown, denied} {
		p.Printed("Orders  Id=1")
	}
	if status := since.Wait(harness.Patience); status != 1 || !strings.Contains(since.Stderr(), `topic "Orders/" is not granted`) {
		t.Errorf("--since: exit status %d, %s", status, since.Stderr())
	}
	replica.Stop()
}
