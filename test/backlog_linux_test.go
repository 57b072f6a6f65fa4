package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
)

// A backlog is records that wait in an embedded Spanner, in a process of its
// own, to be read in one go.
type backlog struct {
	records int
	columns int // of text, each of textBytes
	text    int
	splits  string // rate at which partitions split, in records a second; 0: never
}

const backlogDatabase = "projects/p/instances/i/databases/backlog"

// open makes the backlog. It returns the environment of a replica that reads it
// from its beginning, and the time of its end.
func (b backlog) open(t *testing.T) (env map[string]string, end time.Time) {
	t.Helper()
	var ddl strings.Builder
	ddl.WriteString("CREATE TABLE T (Id INT64 NOT NULL")
	for i := range b.columns {
		fmt.Fprintf(&ddl, ", C%d STRING(MAX)", i)
	}
	ddl.WriteString(") PRIMARY KEY (Id);\nCREATE CHANGE STREAM S FOR T OPTIONS (value_capture_type = 'NEW_VALUES');\n")
	schema := filepath.Join(t.TempDir(), "schema.sql")
	if err := os.WriteFile(schema, []byte(ddl.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	size := int64(b.records) * int64(b.columns*b.text+2000) * 5 / 4
	p := harness.Start(t, nil, "emulator", "--port", "0", "--database", backlogDatabase, "--schema", schema, "--churn-load", b.splits,
		"--max-log-bytes", strconv.FormatInt(max(size, 1<<28), 10), "--load", "-1", "--load-records", strconv.Itoa(b.records),
		"--load-stream", "S", "--load-table", "T", "--load-text-bytes", strconv.Itoa(b.text))
	addr := p.Printed(`Spanner emulator on (\S+)`)[1]
	begin := p.Printed(`load begins at (\S+)`)[1]
	end, err := time.Parse(time.RFC3339Nano, p.Printed(`made ` + strconv.Itoa(b.records) + ` records by (\S+)`)[1])
	if err != nil {
		t.Fatal(err)
	}
	env = map[string]string{"SPANNER_EMULATOR_HOST": addr, "SPANCAST_DATABASE": backlogDatabase, "SPANCAST_CHANGE_STREAM": "S",
		"SPANCAST_METADATA_DATABASE": backlogDatabase + "m", "SPANCAST_START_AT": begin, "SPANCAST_HEARTBEAT": "1s", "SPANCAST_LOG_LEVEL": "info"}
	if status, _, stderr := harness.Run(t, env, "admin", "bootstrap"); status != 0 {
		t.Fatal(stderr)
	}
	return env, end
}

// peak is the most memory that a process had resident so far, in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	kb, err := strconv.ParseInt(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestBacklog_PassesInBoundedMemory: whatever waits to be read, and whatever the
// size of the records, a replica needs MAX_BUFFER and 128 MiB; queues of
// subscribers, of which each has SEND_HWM messages, come on top. SPANCAST_BACKLOG
// is the factor of make backlog.
func TestBacklog_PassesInBoundedMemory(t *testing.T) {
	factor := 1
	if text := os.Getenv("SPANCAST_BACKLOG"); text != "" {
		var err error
		if factor, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SPANCAST_BACKLOG: %v", err)
		}
	}
	for _, c := range []struct {
		name       string
		b          backlog
		buffer     int64 // MAX_BUFFER in MiB
		subscriber string
	}{
		{"records of 1 KB, and nobody subscribes", backlog{records: 200_000, columns: 1, text: 500, splits: "0"}, 64, ""},
		{"records of 1 KB in many partitions, held back until somebody subscribes", backlog{records: 200_000, columns: 1, text: 500, splits: "20000"}, 64, "late"},
		{"records of 5 MB, and nobody subscribes", backlog{records: 40, columns: 5, text: 1 << 20, splits: "0"}, 64, ""},
		{"records of 5 MB, held back until somebody subscribes", backlog{records: 40, columns: 5, text: 1 << 20, splits: "1"}, 64, "late"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.b.records *= factor
			env, end := c.b.open(t)
			env["SPANCAST_MAX_BUFFER"], env["SPANCAST_SEND_HWM"] = fmt.Sprintf("%dMiB", c.buffer), "4"
			env["SPANCAST_REQUIRE_SUBSCRIBER"] = strconv.FormatBool(c.subscriber == "late")
			began := time.Now()
			replica := harness.Serve(t, env)
			o := &office{&shop{t: t, env: env}}
			passed := func(all []partition) bool {
				for _, p := range all {
					if p.State != "FINISHED" && p.Position.Before(end) {
						return false
					}
				}
				return len(all) > 0
			}
			_ = began
			if c.subscriber == "late" {
				// let the buffer fill
			}
			o.until("the backlog has passed", passed)
			most := peak(t, replica.Pid())
			replica.Stop()
			messages := replica.Logged(`"message":"ended","messages":(\d+)`)[1]
			t.Logf("%s messages in %s, at most %d MiB resident", messages, time.Since(began).Round(time.Millisecond), most>>20)
			if messages != strconv.Itoa(c.b.records) {
				t.Errorf("%s messages, want %d", messages, c.b.records)
			}
			if bound := c.buffer + 128; most>>20 > bound {
				t.Errorf("%d MiB resident, want at most %d", most>>20, bound)
			}
		})
	}
}
