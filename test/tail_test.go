package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// behindProxy is a shop on an embedded Spanner, and a replica behind a proxy.
func behindProxy(t *testing.T, more ...string) (*shop, *harness.Replica, *harness.Proxy) {
	t.Helper()
	s := newShop(t, embedded(t, emulator.Options{MinHeartbeat: 50 * time.Millisecond}).Addr())
	replica := harness.Serve(t, s.with(more...))
	harness.Subscribe(t, []string{replica.Endpoint}, "").Reading()
	proxy := harness.NewProxy(t, 1, 0)
	proxy.To(replica.Endpoint)
	return s, replica, proxy
}

// lose commits while the proxy lets nothing through.
func lose(s *shop, p *harness.Proxy, back string, n int) {
	p.To("tcp://127.0.0.1:1")
	p.Cut()
	for i := range n {
		s.commit(i, "Orders")
	}
	p.To(back)
}

// TestTail_VerifyTellsWhatCouldNotBeRecovered: a gap is counted, and is no fault
// when the recovery endpoint has filled it; without one it is.
func TestTail_VerifyTellsWhatCouldNotBeRecovered(t *testing.T) {
	t.Parallel()
	t.Run("recovered", func(t *testing.T) {
		t.Parallel()
		s, replica, proxy := behindProxy(t)
		p := harness.Start(t, nil, "tail", "--connect", proxy.Endpoint(), "--topic", "Orders/", "--verify", "--count", "12", "--timeout", "50s", "--format", "json")
		p.Logged("subscribed")
		s.commit(0, "Orders", "Users")
		p.Printed(`"op":"INSERT"`)
		lose(s, proxy, replica.Endpoint, 11)
		if status := p.Wait(harness.Patience); status != 0 || strings.Count(p.Stdout(), "\n") != 12 {
			t.Errorf("exit status %d, %s", status, p.Stdout())
		}
		p.Logged(`verified changes=12 duplicates=\d+ gaps=1 lost=11 replayed=11 unrecovered=0`)
	})
	t.Run("unrecovered", func(t *testing.T) {
		t.Parallel()
		s, replica, proxy := behindProxy(t, "SPANCAST_RECOVERY_BIND", "none")
		p := harness.Start(t, nil, "tail", "--connect", proxy.Endpoint(), "--verify", "--count", "2", "--timeout", "50s")
		p.Logged("subscribed")
		s.commit(0, "Orders")
		p.Printed("INSERT")
		lose(s, proxy, replica.Endpoint, 11)
		p.Logged("changes are lost for good")
		s.commit(0, "Orders")
		if status := p.Wait(harness.Patience); status != 1 {
			t.Errorf("exit status %d", status)
		}
		p.Logged(`verified changes=2 duplicates=0 gaps=1 lost=11 replayed=0 unrecovered=1`)
		p.Logged(`1 gaps that could not be recovered`)
	})
}

// TestTail_SaysWhatItCannotDo before it has waited for anything; to have heard
// nobody is not to have verified.
func TestTail_SaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{2, "--table is for --snapshot", []string{"--table", "Orders"}},
		{2, "--snapshot and --since do not go together", []string{"--snapshot", "--since", "1m"}},
		{2, "--cursor: stat /no/such: no such file or directory", []string{"--cursor", "/no/such/file"}},
		{2, "is a directory; name a file in it", []string{"--cursor", t.TempDir()}},
		{1, "nobody answered, so that nothing could be verified", []string{"--verify", "--timeout", "200ms"}},
	} {
		status, _, stderr := harness.Run(t, nil, append([]string{"tail", "--connect", "tcp://127.0.0.1:1"}, c.args...)...)
		if status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit status %d, %s", c.args, status, stderr)
		}
	}
}

// TestTail_BeginsInThePastOrWithASnapshot, and goes on from a cursor.
func TestTail_BeginsInThePastOrWithASnapshot(t *testing.T) {
	t.Parallel()
	s, replica, _ := behindProxy(t)
	first := s.commit(0, "Orders", "Users")
	for i := 1; i < 6; i++ {
		s.commit(i%3, "Orders", "Users")
	}
	rows := func(args ...string) []string {
		t.Helper()
		status, stdout, stderr := harness.Run(t, nil, append([]string{"tail", "--connect", replica.Endpoint, "--timeout", "50s", "--verify"}, args...)...)
		if status != 0 {
			t.Errorf("%q: exit status %d, %s", args, status, stderr)
		}
		var out []string
		for line := range strings.Lines(stdout) {
			out = append(out, strings.Join(strings.Fields(line)[1:], " "))
		}
		return out
	}
	since := []string{"INSERT Orders Id=0 V=1", "INSERT Orders Id=1 V=1", "INSERT Orders Id=2 V=1", "UPDATE Orders Id=0 V: 1 → 2", "UPDATE Orders Id=1 V: 1 → 2", "UPDATE Orders Id=2 V: 1 → 2"}
	for _, args := range [][]string{{"--topic", "Orders/", "--since", first.Format(time.RFC3339Nano), "--count", "6"}, {"--topic", "Orders/", "--since", first.Format(time.RFC3339Nano), "--count", "6", "--follow"}} {
		if got := rows(args...); !slices.Equal(got, since) {
			t.Errorf("%q: %q", args, got)
		}
	}
	if got := rows("--snapshot", "--table", "Users", "--count", "3"); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"READ Users Id=0 V=2", "READ Users Id=1 V=2", "READ Users Id=2 V=2"}) {
		t.Errorf("snapshot: %q", got)
	}
	cursor := t.TempDir() + "/cursor"
	if got := rows("--topic", "Orders/", "--since", first.Format(time.RFC3339Nano), "--count", "2", "--cursor", cursor); !slices.Equal(got, since[:2]) {
		t.Errorf("with a cursor: %q", got)
	}
	if got := rows("--topic", "Orders/", "--count", "4", "--cursor", cursor); !slices.Equal(got, since[2:]) {
		t.Errorf("from a cursor: %q", got)
	}
	replica.Stop()
}
