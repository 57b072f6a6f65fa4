package emulator_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
)

func TestOptions_NameEveryFault(t *testing.T) {
	_, err := emulator.Start(t.Context(), emulator.Options{Port: -1, Partitions: 5000, ChurnEvery: time.Nanosecond, Faults: emulator.Faults{AbortEvery: 1}})
	for _, name := range []string{"Port", "Partitions", "ChurnEvery", "AbortEvery"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestClose_TwiceAndAfterwards(t *testing.T) {
	s, err := emulator.Start(t.Context(), emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Restart(t.Context()); err == nil {
		t.Error("Restart after Close")
	}
}

func TestUnimplemented_NamesItself(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	_, err := databasepb.NewDatabaseAdminClient(f.conn).CreateBackup(limit(t), &databasepb.CreateBackupRequest{})
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "CreateBackup") {
		t.Errorf("got %v", err)
	}
	for sql, what := range map[string]string{
		"SELECT Id FROM Items TABLESAMPLE RESERVOIR (1 ROWS)": "TABLESAMPLE",
		"SELECT V COLLATE 'x' FROM Items":                     "",
		"SELECT * REPLACE (1 AS Id) FROM Items":               "REPLACE",
	} {
		_, err := f.texts(t, sql, nil)
		if code := status.Code(err); code != codes.Unimplemented && code != codes.InvalidArgument || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestUnknownDatabase_IsNotFoundWithResourceInfo(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	_, err := sppb.NewSpannerClient(f.conn).CreateSession(limit(t), &sppb.CreateSessionRequest{Database: "projects/p/instances/i/databases/nothing"})
	if status.Code(err) != codes.NotFound || len(status.Convert(err).Details()) != 1 {
		t.Errorf("got %v %v", err, status.Convert(err).Details())
	}
}

func TestCommand_ServesUntilItsContextEnds(t *testing.T) {
	c := emulator.NewCommand()
	flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
	c.Flags(flags)
	if err := flags.Parse([]string{"--port", "0", "--fail", "UNAVAILABLE", "--fail-after", "3", "--database", database}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	if err := c.Run(ctx, &out); err != nil || !strings.Contains(out.String(), "SPANNER_EMULATOR_HOST=127.0.0.1:") {
		t.Errorf("%q %v", out.String(), err)
	}
	if c.Options.Faults.Fail != codes.Unavailable {
		t.Errorf("--fail gave %v", c.Options.Faults.Fail)
	}
}

// TestCommand_NamesFlags, not the fields that they set; but for those that have
// none.
func TestCommand_NamesFlags(t *testing.T) {
	args := "--port -1 --partitions 5000 --churn 1ns --churn-load -1 --min-heartbeat 1h --max-log-bytes 1 --fail INTERNAL --fail-after -1 --end-after -1 --abort-every 1 " +
		"--chunk-size -1 --commit-delay -1s --frame-delay -1s --token-life -1s --load-records -1 --load-text-bytes -1 --load-mods -1 --load-keys -1"
	command := emulator.NewCommand()
	flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
	command.Flags(flags)
	if err := flags.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	command.Options.MaxVersions = -1
	err := command.Validate()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	var named []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		if name != "MaxVersions" && (!strings.HasPrefix(name, "--") || flags.Lookup(name[2:]) == nil) {
			t.Errorf("%q names no flag", line)
		}
		named = append(named, name)
	}
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "fail" && !slices.Contains(named, "--"+f.Name) {
			t.Errorf("--%s is not named in\n%v", f.Name, err)
		}
	})
	if !slices.Contains(named, "MaxVersions") {
		t.Errorf("MaxVersions is not named in\n%v", err)
	}
}

func TestCommand_SaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--fail NOTHING", "--fail"}, {"--dialect mysql", "--dialect"}, {"--load 5", "--load-stream"}, {"--schema x", "--database"}, {"--port 99999", "--port: 99999 is not between 0 and 65535"},
		{"--fail-after 3", "--fail"}, {"--database bad", "--database"}, {"--stall-every 1s", "--stall-for"}, {"--stall-for 1s", "--stall-every"}, {"--restart-every 1s --restart-for 1s", "--restart-for"}, {"--restart-every -1s", "--restart-every"},
	} {
		command := emulator.NewCommand()
		flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
		command.Flags(flags)
		if err := flags.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		if err := command.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}
