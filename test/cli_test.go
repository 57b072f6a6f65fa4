package test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestServe_SaysWhatIsWrong: each fault is one line that names what is wrong and
// the way out, and has the exit status of its kind.
func TestServe_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	free := map[string]string{"SPANCAST_BIND": "tcp://127.0.0.1:*", "SPANCAST_RECOVERY_BIND": "tcp://127.0.0.1:*", "SPANCAST_HTTP": "none"}
	for name, c := range map[string]struct {
		env    []string
		status int
		lines  []string
	}{
		"nothing set": {[]string{"SPANCAST_DATABASE", "", "SPANCAST_CHANGE_STREAM", ""}, 2,
			[]string{"SPANCAST_DATABASE is required", "SPANCAST_CHANGE_STREAM is required"}},
		"wrong values": {[]string{"SPANCAST_LEASE", "soon", "SPANCAST_FORMAT", "xml"}, 2,
			[]string{`SPANCAST_FORMAT: "xml" is not one of native, cloudevents, debezium`, `SPANCAST_LEASE: "soon" is not a duration; one looks like 500ms, 2m or 1h30m`}},
		"missing database": {[]string{"SPANCAST_DATABASE", "projects/spancast/instances/test/databases/nope"}, 2,
			[]string{"Database not found: projects/spancast/instances/test/databases/nope; correct SPANCAST_DATABASE"}},
		"missing instance": {[]string{"SPANCAST_DATABASE", "projects/spancast/instances/nope/databases/nope"}, 2,
			[]string{"Instance not found: projects/spancast/instances/nope; correct SPANCAST_DATABASE"}},
		"missing stream": {[]string{"SPANCAST_CHANGE_STREAM", "Nope"}, 2,
			[]string{s.Name + " has only Everything; correct SPANCAST_CHANGE_STREAM, or create it: spancast admin bootstrap --watch ALL"}},
		"missing tables": {[]string{"SPANCAST_METADATA_PREFIX", "Nope"}, 2,
			[]string{"Table not found: NopePartitions; create the metadata tables: spancast admin bootstrap"}},
		"missing metadata database": {[]string{"SPANCAST_METADATA_DATABASE", "projects/spancast/instances/test/databases/nope"}, 2,
			[]string{"Database not found: projects/spancast/instances/test/databases/nope"}},
		"taken port": {[]string{"SPANCAST_BIND", "tcp://" + taken.Addr().String()}, 1,
			[]string{"bind tcp://" + taken.Addr().String() + ": address already in use; another process has the port"}},
		"taken recovery port": {[]string{"SPANCAST_RECOVERY_BIND", "tcp://" + taken.Addr().String()}, 1,
			[]string{"SPANCAST_RECOVERY_BIND: bind tcp://" + taken.Addr().String() + ": address already in use; another process has the port"}},
		"taken HTTP port": {[]string{"SPANCAST_HTTP", taken.Addr().String()}, 1,
			[]string{"SPANCAST_HTTP: listen on " + taken.Addr().String() + ": bind: address already in use; choose another port, or none"}},
		"nobody there": {[]string{"SPANNER_EMULATOR_HOST", "127.0.0.1:1"}, 1,
			[]string{"connect to Spanner at 127.0.0.1:1: connect: connection refused; check SPANCAST_SPANNER_ENDPOINT"}},
		"another server there": {[]string{"SPANCAST_SPANNER_ENDPOINT", page.Listener.Addr().String()}, 1,
			[]string{"connect to Spanner at " + page.Listener.Addr().String() + ": the server, or what stands before it, does not speak HTTP/2; check SPANCAST_SPANNER_ENDPOINT"}},
		"unknown host": {[]string{"SPANNER_EMULATOR_HOST", "no-such-host.invalid:9010"}, 1,
			[]string{"connect to Spanner at no-such-host.invalid:9010: lookup no-such-host.invalid"}},
		"start before the stream was made": {[]string{"SPANCAST_START_AT", "2000h"}, 2,
			[]string{"too far in the past", "set SPANCAST_START_AT to a time that the change stream still keeps"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := s.with(c.env...)
			for k, v := range free {
				if env[k] == "" {
					env[k] = v
				}
			}
			status, stdout, stderr := harness.Run(t, env, "serve")
			if status != c.status || stdout != "" {
				t.Errorf("exit status %d, want %d; stdout %q", status, c.status, stdout)
			}
			var lines []string
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "{") { // the log
					lines = append(lines, line)
				}
			}
			for _, want := range c.lines {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is missing in\n%s", want, stderr)
				}
			}
			if name != "start before the stream was made" && len(lines) != len(c.lines) {
				t.Errorf("%d lines, want %d:\n%s", len(lines), len(c.lines), stderr)
			}
			for _, line := range lines {
				if !strings.HasPrefix(line, "spancast serve: ") {
					t.Errorf("line %q", line)
				}
			}
		})
	}
}

func TestUsage_IsStatusTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"serv"}, {"serve", "--nope"}, {"serve", "extra"}, {"serve", "--lease=x"}, {"tail", "--format", "xml"}, {"tail", "--topic", "Orders"},
		{"tail", "--count", "-1"}, {"tail", "--since", "yesterday"}, {"tail", "--connect", "nonsense"}, {"admin", "nope"}, {"admin", "bootstrap", "--dialect", "mysql"}, {"config", "--output", "x"},
		{"demo", "--emulator", "none"}, {"demo", "--rate", "0"}, {"validate", "--offline"}, {"validate", "--offline", "--lease", "x"},
	} {
		if status, _, stderr := harness.Run(t, nil, args...); status != 2 {
			t.Errorf("%q: exit status %d, %s", args, status, stderr)
		}
	}
}

func TestCommands_ThatOnlyPrint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"Usage:", "serve", "tail", "demo"}},
		{[]string{"version"}, []string{"spancast ", "libzmq ", "go "}},
		{[]string{"config"}, []string{"SPANCAST_LEASE", "10s", "default"}},
		{[]string{"config", "--output", "env", "--lease", "20s"}, []string{"\nSPANCAST_LEASE=20s\n", "\n#SPANCAST_TOPIC={table}/{op}/\n"}},
		{[]string{"completion", "bash"}, []string{"bash completion"}},
		{[]string{"completion", "zsh"}, []string{"#compdef spancast"}},
		{[]string{"completion", "fish"}, []string{"complete -c spancast"}},
		{[]string{"serve", "--help"}, []string{"--change-stream", "[SPANCAST_CHANGE_STREAM]"}},
	} {
		status, stdout, stderr := harness.Run(t, nil, c.args...)
		if status != 0 || stderr != "" {
			t.Errorf("%q: exit status %d, %s", c.args, status, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%q: %q is missing", c.args, want)
			}
		}
	}
	var v map[string]any
	if _, stdout, _ := harness.Run(t, nil, "version", "--json"); json.Unmarshal([]byte(stdout), &v) != nil || v["libzmq"] == "" {
		t.Errorf("version --json: %s", stdout)
	}
}

// bootstrapLast sees what the last line of admin bootstrap is without --watch.
func bootstrapLast(t *testing.T, env map[string]string, want string) {
	t.Helper()
	status, stdout, stderr := harness.Run(t, env, "admin", "bootstrap")
	if status != 0 || !strings.HasSuffix(stdout, "\n"+want+"\n") {
		t.Errorf("exit status %d, the last line is not %q: %s%s", status, want, stdout, stderr)
	}
}

func TestBootstrap_CanBeRunAgain(t *testing.T) {
	t.Parallel()
	for dialect, code := range map[string]databasepb.DatabaseDialect{"googlesql": databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, "postgresql": databasepb.DatabaseDialect_POSTGRESQL} {
		db := spannerdb.New(t, spannerdb.Host(t), code)
		env := map[string]string{"SPANNER_EMULATOR_HOST": db.Host, "SPANCAST_DATABASE": db.Name, "SPANCAST_CHANGE_STREAM": "Mixed"}
		ddl := map[string]string{"googlesql": "CREATE CHANGE STREAM `Mixed` FOR ALL", "postgresql": `CREATE CHANGE STREAM "Mixed" FOR ALL`}[dialect]
		env["SPANCAST_METADATA_PREFIX"] = "Other"
		bootstrapLast(t, env, "change stream Mixed does not exist yet; to create it: spancast admin bootstrap --watch ALL, or "+ddl)
		delete(env, "SPANCAST_METADATA_PREFIX")
		for _, want := range []struct{ created, exist int }{{4, 1}, {0, 5}} { // three tables and the stream; the database is there
			status, stdout, stderr := harness.Run(t, env, "admin", "bootstrap", "--watch", "ALL")
			if status != 0 || strings.Count(stdout, " created") != want.created || strings.Count(stdout, " exists") != want.exist {
				t.Errorf("%s: exit status %d, %s%s", dialect, status, stdout, stderr)
			}
		}
		bootstrapLast(t, env, "change stream Mixed exists")
		if status, stdout, _ := harness.Run(t, env, "validate", "--http", "none", "--bind", "tcp://127.0.0.1:*"); status != 0 || strings.Contains(stdout, "FAIL") {
			t.Errorf("%s: validate: %d\n%s", dialect, status, stdout)
		}
		printed, stdout, _ := harness.Run(t, env, "admin", "bootstrap", "--print", "--watch", "ALL", "--dialect", dialect)
		if printed != 0 || strings.Count(stdout, "CREATE TABLE") != 3 || !strings.Contains(stdout, "CREATE CHANGE STREAM") || !strings.Contains(stdout, "GRANT EXECUTE ON") {
			t.Errorf("%s: --print: %s", dialect, stdout)
		}
		env["SPANCAST_METADATA_DATABASE"] = db.Name + "m"
		for database, granted := range map[string]string{db.Name: "GRANT EXECUTE ON", db.Name + "m": "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE"} {
			_, stdout, _ := harness.Run(t, env, "admin", "bootstrap", "--print", "--dialect", dialect)
			_, there, found := strings.Cut(stdout, " in "+database+map[bool]string{true: "; SPANCAST_DATABASE_ROLE", false: "\nCREATE ROLE"}[database == db.Name])
			if there, _, _ = strings.Cut(there, "\n-- "); !found || !strings.Contains(there, granted) {
				t.Errorf("%s: no %s in %s:\n%s", dialect, granted, database, stdout)
			}
		}
	}
}

func TestValidate_IsAChecklist(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	var list []struct{ Check, Status, Detail string }
	status, stdout, _ := harness.Run(t, s.with("SPANCAST_CHANGE_STREAM", "Nope", "SPANCAST_METADATA_PREFIX", "Nope", "SPANCAST_HTTP", "none", "SPANCAST_BIND", "tcp://127.0.0.1:*", "SPANCAST_RECOVERY_BIND", "tcp://127.0.0.1:*"), "validate", "--json")
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || status != 2 {
		t.Fatalf("exit status %d, %v: %s", status, err, stdout)
	}
	got := map[string]string{}
	for _, c := range list {
		got[c.Check] = c.Status
	}
	for check, want := range map[string]string{"configuration": "ok", "change stream": "FAIL", "reading": "skip", "metadata tables": "FAIL", "SPANCAST_BIND": "ok", "SPANCAST_RECOVERY_BIND": "ok"} {
		if got[check] != want {
			t.Errorf("%s: %q, want %q", check, got[check], want)
		}
	}
}

// TestTopics_NameKeyColumnsThatNoTableHas: validate and the log say so, of a rule
// that comes later too; everything goes on.
func TestTopics_NameKeyColumnsThatNoTableHas(t *testing.T) {
	t.Parallel()
	s, dir := newShop(t, embedded(t, emulator.Options{}).Addr()), t.TempDir()
	rules := write(t, dir, "rules.yaml", "rules: [{tables: [Users], topics: ['u/{key.Id}/', 'u/{key.UserId}/']}]")
	env := s.with("SPANCAST_TOPIC", "{table}/{key.OrderId}/", "SPANCAST_TOPIC_RULES_FILE", rules)
	status, stdout, _ := harness.Run(t, env, "validate", "--http", "none", "--bind", "tcp://127.0.0.1:*", "--recovery-bind", "none")
	for _, want := range []string{"warn  topics +the default template, {table}/{key.OrderId}/: .* key column OrderId;", "warn  topics +rule 1, u/{key.UserId}/: .* key column UserId;"} {
		if status != 0 || !regexp.MustCompile(want).MatchString(stdout) || strings.Count(stdout, " topics ") != 2 {
			t.Errorf("exit status %d, %q is missing in\n%s", status, want, stdout)
		}
	}
	replica := harness.Serve(t, env)
	replica.Logged(`"WARNING".*names a key column.*"template":"{table}/{key.OrderId}/","column":"OrderId","from":"the default template"`)
	replica.Logged(`"WARNING".*names a key column.*"template":"u/{key.UserId}/","column":"UserId","from":"rule 1"`)
	write(t, dir, "rules.yaml", "rules: [{topic: 'all/{key.Nope}/'}]")
	replica.Logged(`"WARNING".*names a key column.*"template":"all/{key.Nope}/","column":"Nope","from":"rule 1"`)
	if strings.Contains(replica.Stderr(), `"column":"Id"`) {
		t.Errorf("a column that is there is missed:\n%s", replica.Stderr())
	}
	replica.Stop()
}

func TestTail_CountsVerifiesAndEnds(t *testing.T) {
	t.Parallel()
	s := newShop(t, spannerdb.Host(t))
	replica := harness.Serve(t, s.env)
	harness.Subscribe(t, []string{replica.Endpoint}, "").Reading()
	p := harness.Start(t, nil, "tail", "--connect", replica.Endpoint, "--topic", "Orders/", "--format", "json", "--count", "10", "--timeout", "50s", "--verify")
	p.Logged("subscribed")
	for i := range 10 {
		s.commit(i, "Orders", "Users")
	}
	if status := p.Wait(harness.Patience); status != 0 {
		t.Errorf("exit status %d", status)
	}
	p.Logged(`verified changes=10 duplicates=0 gaps=0`)
	lines := strings.Split(strings.TrimSpace(p.Stdout()), "\n")
	if len(lines) != 10 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var m struct {
			Topic, Version, Epoch, Counters string
			Attributes                      struct{ Table, Op string }
			Body                            struct{ Keys, New_values map[string]any }
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Attributes.Table != "Orders" || m.Body.Keys["Id"] == nil || !strings.HasPrefix(m.Topic, "Orders/") {
			t.Errorf("%s: %v", line, err)
		}
	}
	text := harness.Start(t, nil, "tail", "--connect", replica.Endpoint)
	text.Logged("subscribed")
	s.commit(3, "Users")
	text.Printed("UPDATE  Users  Id=3  V: 1 → 2|INSERT  Users  Id=3  V=1")
	text.Signal(syscall.SIGINT)
	if status := text.Wait(harness.Patience); status != 0 {
		t.Errorf("exit status %d after Ctrl-C", status)
	}
	if status, _, stderr := harness.Run(t, nil, "tail", "--connect", replica.Endpoint, "--topic", "Nope/", "--count", "1", "--timeout", "1s"); status != 1 || !strings.Contains(stderr, "0 of 1 changes came in 1s") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	replica.Stop()
}
