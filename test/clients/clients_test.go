package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/emulator"
)

// patience is how long a program may take for what it should do soon.
const patience = 60 * time.Second

const database = "projects/p/instances/i/databases/db"

var ddl = []string{
	"CREATE TABLE Orders (Id INT64 NOT NULL, Item STRING(MAX), Placed TIMESTAMP OPTIONS (allow_commit_timestamp = true)) PRIMARY KEY (Id)",
	"CREATE CHANGE STREAM OrderStream FOR Orders",
}

// start runs an embedded Spanner whose partitions change every second or so.
func start(t *testing.T, churn time.Duration) *emulator.Server {
	t.Helper()
	s, err := emulator.Start(t.Context(), emulator.Options{ChurnEvery: churn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// missing skips a test loudly, or fails it where CI is set.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must be able to run this: "+format, args...)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED: %s: "+format+"\n", append([]any{t.Name()}, args...)...)
	t.Skipf(format, args...)
}

// command runs a program with SPANNER_EMULATOR_HOST set and returns its output.
func command(ctx context.Context, t *testing.T, s *emulator.Server, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = environment(s)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func environment(s *emulator.Server) []string {
	return append(os.Environ(), "SPANNER_EMULATOR_HOST="+s.Addr(), "GOOGLE_CLOUD_PROJECT=p")
}

// printed is what a program has printed until now.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// row is how the key of a row is printed.
func row(id int) string { return fmt.Sprintf(`"Id":"%d"`, id) }

// write commits rows one after the other until the context ends, and returns
// how many.
func write(ctx context.Context, t *testing.T, s *emulator.Server, every time.Duration) int {
	t.Helper()
	client, err := spanner.NewClient(t.Context(), database, s.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	n := 0
	for {
		select {
		case <-ctx.Done():
			return n
		case <-ticker.C:
		}
		m := spanner.Insert("Orders", []string{"Id", "Item", "Placed"}, []any{n, fmt.Sprint("item", n), spanner.CommitTimestamp})
		if _, err := client.Apply(t.Context(), []*spanner.Mutation{m}); err != nil {
			t.Error(err)
			return n
		}
		n++
	}
}

func TestNode_ReadsWritesAndFollowsAStream(t *testing.T) {
	t.Parallel() // it waits for the network, the other builds
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "npm: %v", err)
	}
	s := start(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if _, err := os.Stat("node/node_modules/@google-cloud/spanner"); err != nil {
		if out, err := command(ctx, t, s, "node", npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"); err != nil {
			missing(t, "npm install: %v\n%s", err, out)
		}
	}
	out, err := command(ctx, t, s, "node", "node", "client.mjs")
	if err != nil || !strings.Contains(out, "all good") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestTail_SeesEveryChangeOnceOverChurn(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/cloudspannerecosystem/spanner-change-streams-tail@v0.4.2")
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-mod=mod")
	if out, err := install.CombinedOutput(); err != nil {
		missing(t, "go install spanner-change-streams-tail: %v\n%s", err, out)
	}
	s := start(t, time.Second)
	if err := s.CreateDatabase(database, emulator.GoogleSQL, ddl...); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	output := new(printed)
	tail := exec.CommandContext(ctx, filepath.Join(bin, "spanner-change-streams-tail"), "-p", "p", "-i", "i", "-d", "db", "-s", "OrderStream", "--start", s.Now().Format(time.RFC3339Nano))
	tail.Env, tail.Stdout, tail.Stderr, tail.WaitDelay = environment(s), output, output, 5*time.Second
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	n, written := write(writing, t, s, 100*time.Millisecond), time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for id := 0; id < n && ctx.Err() == nil; {
		if strings.Contains(output.String(), row(id)) {
			id++
			continue
		}
		<-tick.C
	}
	t.Logf("%d rows; the last came %s after it was written", n, time.Since(written).Round(time.Millisecond))
	end()
	tail.Wait() // it does not end by itself
	out := output.String()
	for id := range n {
		if seen := strings.Count(out, row(id)); seen != 1 {
			t.Errorf("row %d was seen %d times of %d rows", id, seen, n)
		}
	}
	if n == 0 || t.Failed() {
		t.Errorf("%d rows; the tool printed:\n%.3000s", n, out)
	}
}
