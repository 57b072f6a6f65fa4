package test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// office is a shop on an embedded Spanner, and the commands that look at it.
type office struct{ *shop }

func newOffice(t *testing.T, dialect databasepb.DatabaseDialect) *office {
	t.Helper()
	server := embedded(t, emulator.Options{})
	return &office{newShopIn(t, server.Addr(), dialect)}
}

// does runs a command that should do well.
func (o *office) does(args ...string) string {
	o.t.Helper()
	status, stdout, stderr := harness.Run(o.t, o.env, args...)
	if status != 0 || stderr != "" {
		o.t.Fatalf("spancast %s: exit status %d, %s", strings.Join(args, " "), status, stderr)
	}
	return stdout
}

// refuses runs a command that should not do well, and say why.
func (o *office) refuses(status int, why string, args ...string) {
	o.t.Helper()
	got, stdout, stderr := harness.Run(o.t, o.env, args...)
	if got != status || !strings.Contains(stderr, why) {
		o.t.Errorf("spancast %s: exit status %d, want %d; %q is not in %s%s", strings.Join(args, " "), got, status, why, stderr, stdout)
	}
}

// partition is a line of admin partitions --json.
type partition struct {
	Partition, State, Owner string
	Epoch                   int64
	LeaseLeft               float64 `json:"lease_left_seconds"`
	Position, Start         time.Time
}

func (o *office) partitions() (out []partition) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.does("admin", "partitions", "--json")), &out); err != nil {
		o.t.Fatal(err)
	}
	return out
}

// until waits for what the partitions show.
func (o *office) until(what string, f func([]partition) bool) []partition {
	o.t.Helper()
	for deadline := time.Now().Add(harness.Patience); ; {
		all := o.partitions()
		if f(all) {
			return all
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("%s: not within %s: %+v", what, harness.Patience, all)
		}
	}
}

func inBothDialects(t *testing.T, f func(*testing.T, *office)) {
	for _, dialect := range []databasepb.DatabaseDialect{databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, databasepb.DatabaseDialect_POSTGRESQL} {
		t.Run(dialect.String(), func(t *testing.T) {
			t.Parallel()
			f(t, newOffice(t, dialect))
		})
	}
}

// TestStatus_ShowsTheFleet, from tables that are empty to a replica that has
// ended.
func TestStatus_ShowsTheFleet(t *testing.T) {
	t.Parallel()
	inBothDialects(t, func(t *testing.T, o *office) {
		for _, want := range []string{"there are no partitions", "no replica is running", "resolved       -"} {
			if got := o.does("status"); !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
		replica := harness.Serve(t, o.with("SPANCAST_MAX_PARTITIONS", "7"))
		o.until("partitions are read", func(all []partition) bool { return len(all) == 2 && all[0].Owner != "" && all[1].Owner != "" })
		var f struct {
			Stream     string `json:"change_stream"`
			Now        time.Time
			Resolved   time.Time
			Lag        float64 `json:"lag_seconds"`
			Partitions struct{ Created, Running, Finished int }
			Replicas   []struct {
				ID         string
				Endpoints  []string
				Capacity   int
				Partitions int
				Live       bool
				Oldest     time.Time `json:"oldest_position"`
			}
			Trouble []string
		}
		if err := json.Unmarshal([]byte(o.does("status", "--json", "--lease", "1m")), &f); err != nil {
			t.Fatal(err)
		}
		if len(f.Replicas) != 1 {
			t.Fatalf("%+v", f)
		}
		r := f.Replicas[0]
		if f.Stream != o.Name+"/changeStreams/"+shopStream || f.Partitions.Running != 2 || r.Partitions != 2 || r.Capacity != 7 || !r.Live ||
			len(r.Endpoints) != 1 || r.Endpoints[0] != replica.Endpoint || r.Oldest.IsZero() || !f.Resolved.Equal(r.Oldest) || f.Lag <= 0 || len(f.Trouble) != 0 {
			t.Errorf("%+v", f)
		}
		text := o.does("status", "--lease", "1m")
		for _, want := range []string{"2 running, 0 waiting, 0 finished", r.ID, "2 of 7", replica.Endpoint, "1 running"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		replica.Stop()
		for _, want := range []string{"no replica is running", "is read by nobody, at 20"} {
			if got := o.does("status"); !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
	})
}

// TestRelease_BeginsTheNextEpoch: the owner stops, the partitions are read on,
// and nothing is lost.
func TestRelease_BeginsTheNextEpoch(t *testing.T) {
	t.Parallel()
	inBothDialects(t, func(t *testing.T, o *office) {
		replica := harness.Serve(t, o.env)
		sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
		sub.Reading()
		sub.Resolved(o.commit(1, "Orders", "Users"))
		before := o.until("partitions are read", func(all []partition) bool { return len(all) == 2 && all[0].Owner != "" && all[1].Owner != "" })
		o.refuses(2, "one of --partition, --replica and --all", "admin", "release")
		o.refuses(2, "one of --partition, --replica and --all", "admin", "release", "--all", "--replica", "x")
		o.refuses(2, "no partition nope in table SpancastPartitions of "+o.Name+"m; spancast admin partitions lists them", "admin", "release", "--partition", "nope")
		o.refuses(2, "no replica nope in table SpancastPartitions", "admin", "release", "--replica", "nope")
		o.refuses(2, "--yes does it without asking", "admin", "release", "--all")
		if got := o.does("admin", "release", "--replica", before[0].Owner, "--dry-run"); !strings.Contains(got, before[0].Partition) || !strings.Contains(got, "nothing was done") {
			t.Error(got)
		}
		for i, p := range o.partitions() {
			if p.Epoch != before[i].Epoch {
				t.Errorf("epoch %d before, %d after a dry run", before[i].Epoch, p.Epoch)
			}
		}
		one := before[0].Partition
		if got := o.does("admin", "release", "--partition", one, "--yes"); !strings.Contains(got, "partition "+one+" released from "+before[0].Owner) {
			t.Error(got)
		}
		replica.Logged(`lost a partition to (another replica, or to )?spancast admin release or reset.*` + one)
		o.until("the partition is taken again", func(all []partition) bool {
			for _, p := range all {
				if p.Partition == one {
					return p.Epoch == before[0].Epoch+2 && p.Owner == before[0].Owner
				}
				if p.Epoch != before[1].Epoch {
					t.Errorf("the other partition has epoch %d, had %d", p.Epoch, before[1].Epoch)
				}
			}
			return false
		})
		sub.Resolved(o.commit(2, "Orders", "Users"))
		o.check(sub.Changes())
		replica.Stop()
		if got := o.does("admin", "release", "--all", "--yes"); !strings.Contains(got, "nothing to release") {
			t.Error(got)
		}
	})
}

// TestReset_BeginsAnewAtATime: what came after it is published again, by the
// same names; what came before it, and was not published, never is.
func TestReset_BeginsAnewAtATime(t *testing.T) {
	t.Parallel()
	inBothDialects(t, func(t *testing.T, o *office) {
		replica := harness.Serve(t, o.env)
		sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
		sub.Reading()
		o.commit(1, "Orders")
		second := o.commit(2, "Orders")
		sub.Resolved(o.commit(3, "Orders"))
		first := sub.Changes()
		o.refuses(2, "--to is required", "admin", "reset", "--yes")
		o.refuses(2, `--to: "soon" is not now`, "admin", "reset", "--to", "soon", "--yes")
		o.refuses(2, "is in the future", "admin", "reset", "--to", "2126-11-20T00:00:00Z", "--yes")
		o.refuses(2, "--to: find the partitions of change stream Everything: Specified start_timestamp is too far in the past", "admin", "reset", "--to", "48h", "--dry-run")
		if got := o.does("admin", "reset", "--to", "now", "--dry-run", "--lease", "1m"); !strings.Contains(got, "REFUSED without --force while replicas are running: ") {
			t.Errorf("dry run of a reset that would be refused: %s", got)
		}
		o.refuses(1, "replicas are running: ", "admin", "reset", "--to", "now", "--yes", "--lease", "1m")
		replica.Stop()
		to := second.Format(time.RFC3339Nano)
		o.refuses(2, "--yes does it without asking", "admin", "reset", "--to", to)
		before := o.partitions()
		foretold := o.does("admin", "reset", "--to", to, "--dry-run")
		if !strings.Contains(foretold, "REPEATED: changes committed from then up to 20") || strings.Contains(foretold, "LOST") || fmt.Sprint(o.partitions()) != fmt.Sprint(before) {
			t.Errorf("%s%+v\n%+v", foretold, before, o.partitions())
		}
		if got := o.does("admin", "reset", "--to", "now", "--dry-run"); !strings.Contains(got, "LOST: changes committed from 20") {
			t.Error(got)
		}
		if got := o.does("admin", "reset", "--to", to, "--yes"); !strings.Contains(got, "2 partitions thrown away, 2 stored") {
			t.Error(got)
		}
		for _, p := range o.partitions() {
			if p.State != "CREATED" || p.Owner != "" || !p.Position.Equal(second.Truncate(time.Microsecond)) {
				t.Errorf("%+v", p)
			}
		}
		replica = harness.Serve(t, o.with("SPANCAST_REQUIRE_SUBSCRIBER", "true"))
		again := harness.Subscribe(t, []string{replica.Endpoint}, "")
		again.Resolved(second.Add(time.Millisecond))
		again.Until("two changes", func([]*harness.Message) bool { return len(again.Changes()) >= 2 })
		for i, m := range again.Changes() {
			if m.Version != first[i+1].Version {
				t.Errorf("change %d is %s, was %s", i, m.Version, first[i+1].Version)
			}
		}
		replica.Stop()
	})
}

// TestReset_WithForce takes the partitions from a replica that runs, fenced: it
// reads the new ones when its own lease on the old ones has run out.
func TestReset_WithForce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
	replica := harness.Serve(t, o.env)
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	sub.Resolved(o.commit(1, "Orders", "Users"))
	before := o.until("partitions are read", func(all []partition) bool { return len(all) == 2 && all[0].Owner != "" && all[1].Owner != "" })
	o.does("admin", "reset", "--to", "now", "--yes", "--force")
	for _, p := range o.partitions() {
		if p.Owner == before[0].Owner && p.Epoch == before[0].Epoch {
			t.Errorf("%+v is as it was", p)
		}
	}
	o.until("the new partitions are read", func(all []partition) bool {
		return all[0].Owner == before[0].Owner && all[1].Owner == before[0].Owner && all[0].Start.After(before[0].Start)
	})
	sub.Resolved(o.commit(2, "Orders", "Users"))
	o.check(sub.Changes())
	replica.Stop()
}

// TestTop_PrintsOnceAnInterval where there is no terminal.
func TestTop_PrintsOnceAnInterval(t *testing.T) {
	t.Parallel()
	o := newOffice(t, databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
	p := harness.Start(t, o.env, "top", "--interval", "100ms")
	p.Printed(`(?s)(change stream +` + regexp.QuoteMeta(o.Name) + `.*){3}`)
	if strings.Contains(p.Stdout(), "\x1b") {
		t.Errorf("control sequences in %q", p.Stdout())
	}
	p.Stop()
	o.refuses(2, "--interval must be at least 100ms", "top", "--interval", "1ms")
	if status, _, stderr := harness.Run(t, o.with("SPANCAST_METADATA_PREFIX", "Nope"), "top"); status != 2 || !strings.Contains(stderr, "spancast admin bootstrap") {
		t.Errorf("%d %s", status, stderr)
	}
}
