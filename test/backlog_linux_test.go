package test

import (
	"fmt"
	"os"
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
	records    int
	columns    int // of text, each of so many bytes:
	text       int
	partitions int
}

func (b backlog) bytes() int64 { return int64(b.records) * int64(b.columns*b.text+2000) }

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
	schema := write(t, t.TempDir(), "schema.sql", ddl.String())
	p := harness.Start(t, nil, "emulator", "--port", "0", "--database", backlogDatabase, "--schema", schema, "--partitions", strconv.Itoa(b.partitions),
		"--max-log-bytes", strconv.FormatInt(max(b.bytes()*3/2, 1<<28), 10), "--load", "-1", "--load-records", strconv.Itoa(b.records),
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

// memory reads a line of what the kernel knows of a process's memory, in bytes:
// VmRSS is what is resident, VmHWM the most that ever was.
func memory(t *testing.T, pid int, line string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	kb, err := strconv.ParseInt(regexp.MustCompile(line + `:\s+(\d+) kB`).FindStringSubmatch(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// full waits until a replica that may publish nothing has filled its buffer: it
// grows no more.
func full(t *testing.T, pid int, buffer int64) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	most, since := int64(0), time.Now()
	for deadline := time.Now().Add(harness.Patience); most < buffer*3/4 || time.Since(since) < time.Second; {
		<-tick.C
		if now := memory(t, pid, "VmRSS"); now > most+1<<20 {
			most, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("the buffer is not full after %s; %d MiB are resident", harness.Patience, most>>20)
		}
	}
}

// TestBacklog_PassesInBoundedMemory: whatever waits to be read, and whatever the
// size of the records, a replica needs MAX_BUFFER and 128 MiB. Queues of
// subscribers come on top: up to SEND_HWM messages of each, and of large messages,
// all queues together, MAX_BUFFER once more.
// SPANCAST_BACKLOG is the factor of make backlog.
func TestBacklog_PassesInBoundedMemory(t *testing.T) {
	t.Parallel()
	factor := 1
	if text := os.Getenv("SPANCAST_BACKLOG"); text != "" {
		var err error
		if factor, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SPANCAST_BACKLOG: %v", err)
		}
	}
	small, big := backlog{records: 200_000, columns: 1, text: 700, partitions: 2}, backlog{records: 40, columns: 5, text: 1 << 20, partitions: 2}
	many := backlog{records: 200_000, columns: 1, text: 700, partitions: 100}
	for name, c := range map[string]struct {
		backlog
		held    bool // until the buffer is full; only then somebody subscribes
		stalled bool // somebody has subscribed, and does not read
	}{
		"records of 1 KB":            {small, false, false},
		"records of 1 KB, held back": {small, true, false},
		"records of 5 MB":            {big, false, false},
		"records of 5 MB, held back": {big, true, false},
		"records of 5 MB, stalled":   {backlog{records: 60, columns: 5, text: 1 << 20, partitions: 2}, false, true},
		"100 partitions, held back":  {many, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if factor == 1 {
				t.Parallel() // the full form would fill this machine
			}
			c.records *= factor
			c.passes(t, c.held, c.stalled)
		})
	}
}

// passes lets a backlog pass and looks at what that took.
func (b backlog) passes(t *testing.T, held, stalled bool) {
	const buffer = 64 << 20
	bound := int64(buffer + 128<<20)
	env, end := b.open(t)
	env["SPANCAST_MAX_BUFFER"], env["SPANCAST_REQUIRE_SUBSCRIBER"] = "64MiB", strconv.FormatBool(held || stalled)
	if stalled {
		bound += buffer
	} else {
		env["SPANCAST_SEND_HWM"], env["SPANCAST_SLOW_SUBSCRIBER"] = "2", "block"
	}
	began := time.Now()
	replica := harness.Serve(t, env)
	if stalled {
		harness.Stalled(t, replica.Endpoint)
		harness.Subscribe(t, []string{replica.Endpoint}, "$hello/") // and stays
	}
	if held {
		full(t, replica.Pid(), buffer)
		began = time.Now()
		harness.Subscribe(t, []string{replica.Endpoint}, "$hello/")
	}
	o := &office{&shop{t: t, env: env}}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	patience := harness.Patience + time.Duration(b.bytes()/5_000_000)*time.Second
	for deadline := began.Add(patience); !o.past(end); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the backlog has not passed: %+v", o.partitions())
		}
	}
	took, most := time.Since(began), memory(t, replica.Pid(), "VmHWM")
	replica.Stop()
	messages := replica.Logged(`"message":"ended","messages":(\d+)`)[1]
	t.Logf("%s messages in %s, at most %d MiB resident", messages, took.Round(time.Millisecond), most>>20)
	if messages != strconv.Itoa(b.records) {
		t.Errorf("%s messages, want %d", messages, b.records)
	}
	if most > bound {
		t.Errorf("%d MiB resident, want at most %d", most>>20, bound>>20)
	}
}

// past tells whether all partitions have passed a time.
func (o *office) past(end time.Time) bool {
	o.t.Helper()
	all := o.partitions()
	for _, p := range all {
		if p.State != "FINISHED" && p.Position.Before(end) {
			return false
		}
	}
	return len(all) > 0
}
