package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// specified are the variables of the contract that this version has, with their
// defaults.
var specified = map[string]string{
	"DATABASE": "", "CHANGE_STREAM": "", "METADATA_DATABASE": "", "SPANNER_ENDPOINT": "", "METADATA_ENDPOINT": "", "METADATA_PREFIX": "Spancast",
	"DATABASE_ROLE": "", "START_AT": "now", "ON_GAP": "stop", "QUERY_WINDOW": "2m", "HEARTBEAT": "2s", "BIND": "tcp://127.0.0.1:5556", "CONNECT": "", "RECOVERY_BIND": "tcp://127.0.0.1:5557",
	"ADVERTISE": "", "HTTP": "127.0.0.1:8080", "TOPIC": "{table}/{op}/", "TOPIC_RULES_FILE": "", "FORMAT": "native", "SEND_HWM": "20000",
	"SLOW_SUBSCRIBER": "drop", "BLOCK_TIMEOUT": "5s", "ZMTP_HEARTBEAT": "0s", "MAX_BUFFER": "256MiB", "RESOLVED_INTERVAL": "1s",
	"CHECKPOINT_INTERVAL": "1s", "CHECKPOINT_LAG": "2s", "LEASE": "10s", "MAX_PARTITIONS": "0", "REQUIRE_SUBSCRIBER": "false",
	"ALLOW_INSECURE": "false", "LOG_LEVEL": "info", "LOG_FORMAT": "",
}

// others are values that differ from the defaults.
var others = map[string]string{
	"DATABASE": "projects/p/instances/i/databases/d", "CHANGE_STREAM": "S", "METADATA_DATABASE": "projects/p/instances/i/databases/m",
	"SPANNER_ENDPOINT": "localhost:9010", "METADATA_ENDPOINT": "[::1]:9011", "METADATA_PREFIX": "Cast_2", "DATABASE_ROLE": "reader", "START_AT": "10m0s",
	"ON_GAP": "skip", "QUERY_WINDOW": "1m", "HEARTBEAT": "5s", "BIND": "tcp://127.0.0.1:1,ipc:///tmp/x", "CONNECT": "tcp://localhost:2", "ADVERTISE": "tcp://h:3", "RECOVERY_BIND": "tcp://127.0.0.1:7",
	"HTTP": "none", "TOPIC": "{table}/{key}/", "TOPIC_RULES_FILE": "rules.yaml", "FORMAT": "debezium", "SEND_HWM": "7", "SLOW_SUBSCRIBER": "block",
	"BLOCK_TIMEOUT": "1s", "ZMTP_HEARTBEAT": "5s", "MAX_BUFFER": "1GiB", "RESOLVED_INTERVAL": "2s", "CHECKPOINT_INTERVAL": "2s", "CHECKPOINT_LAG": "3s",
	"LEASE": "20s", "MAX_PARTITIONS": "5", "REQUIRE_SUBSCRIBER": "true", "ALLOW_INSECURE": "true", "LOG_LEVEL": "debug", "LOG_FORMAT": "text",
}

func clearEnv(t *testing.T) {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, Prefix+"_") || name == "SPANNER_EMULATOR_HOST" {
			t.Setenv(name, value) // restored in the end
			os.Unsetenv(name)
		}
	}
}

func TestLoad_HasTheSpecifiedVariablesAndDefaults(t *testing.T) {
	clearEnv(t)
	got := map[string]string{}
	for _, v := range Load().Vars() {
		got[strings.TrimPrefix(v.Name, Prefix+"_")] = v.Value()
		if v.Source() != FromDefault || v.Desc == "" {
			t.Errorf("%s: source %s, description %q", v.Name, v.Source(), v.Desc)
		}
	}
	for name, want := range specified {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %q (%t), want %q", name, value, ok, want)
		}
	}
	if len(got) != len(specified) {
		t.Errorf("%d variables, %d specified", len(got), len(specified))
	}
}

func TestLoad_EveryVariableIsReadFromEnvironmentAndFlag(t *testing.T) {
	clearEnv(t)
	for name, value := range others {
		t.Run(name, func(t *testing.T) {
			t.Setenv(Prefix+"_"+name, value)
			v := Load().variable(name)
			if v.err != nil || v.Value() != value || v.Source() != FromEnv {
				t.Errorf("environment: %q from %s, %v", v.Value(), v.Source(), v.err)
			}
			t.Setenv(Prefix+"_"+name, "")
			l := Load()
			fs := pflag.NewFlagSet("", pflag.ContinueOnError)
			l.BindFlags(fs)
			if v := l.variable(name); v.Value() != specified[name] {
				t.Errorf("set but empty: %q", v.Value())
			}
			if err := fs.Parse([]string{"--" + l.variable(name).Flag + "=" + value}); err != nil {
				t.Fatal(err)
			}
			if v := l.variable(name); v.Value() != value || v.Source() != FromFlag {
				t.Errorf("flag: %q from %s", v.Value(), v.Source())
			}
		})
	}
}

func TestValidate_ListsAllFaultsWithTheirVariables(t *testing.T) {
	clearEnv(t)
	for name, value := range map[string]string{
		"DATABASE": "shop", "METADATA_PREFIX": "1x", "SPANNER_ENDPOINT": "nohost", "START_AT": "yesterday", "ON_GAP": "panic", "QUERY_WINDOW": "2x",
		"HEARTBEAT": "1ms", "BIND": "http://x", "CONNECT": "tcp://x", "TOPIC": "{tabel}/", "TOPIC_RULES_FILE": "/no/such/file", "FORMAT": "avro",
		"SEND_HWM": "0", "SLOW_SUBSCRIBER": "wait", "MAX_BUFFER": "lots", "LEASE": "2s", "CHECKPOINT_INTERVAL": "1s", "MAX_PARTITIONS": "-1",
		"LOG_LEVEL": "loud", "LOG_FORMAT": "xml", "HTTP": "8080", "REQUIRE_SUBSCRIBER": "maybe", "DATABSE": "x", "CURVE_SECRET_KEY": "hunter2",
	} {
		t.Setenv(Prefix+"_"+name, value)
	}
	err := Load().Validate("DATABASE", "CHANGE_STREAM")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`SPANCAST_DATABASE: "shop" is not of the form projects/P/instances/I/databases/D`, `SPANCAST_METADATA_PREFIX: "1x"`, `SPANCAST_SPANNER_ENDPOINT: "nohost"`,
		`SPANCAST_START_AT: "yesterday"`, `SPANCAST_ON_GAP: "panic" is not one of stop, skip`, `SPANCAST_QUERY_WINDOW: time: unknown unit`,
		`SPANCAST_HEARTBEAT: 1ms is not between 100ms and 5m`, `SPANCAST_BIND: "http://x"`, `SPANCAST_CONNECT: "tcp://x"`, `SPANCAST_TOPIC: topic template`,
		`SPANCAST_TOPIC_RULES_FILE: `, `SPANCAST_FORMAT: "avro"`, `SPANCAST_SEND_HWM: 0`, `SPANCAST_SLOW_SUBSCRIBER: "wait"`, `SPANCAST_MAX_BUFFER: "lots"`,
		`SPANCAST_LEASE: 2s is less than three times`, `SPANCAST_MAX_PARTITIONS: -1`, `SPANCAST_LOG_LEVEL: "loud"`, `SPANCAST_LOG_FORMAT: "xml"`,
		`SPANCAST_HTTP: "8080"`, `SPANCAST_REQUIRE_SUBSCRIBER: `, `SPANCAST_CHANGE_STREAM is required`,
		`SPANCAST_DATABSE is not a variable of this version; is SPANCAST_DATABASE meant?`, `SPANCAST_CURVE_SECRET_KEY is not a variable of this version`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a value that may be a secret is shown")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestValidate_AFlagMendsWhatTheEnvironmentHasWrong(t *testing.T) {
	clearEnv(t)
	t.Setenv("SPANCAST_LEASE", "soon")
	l := Load()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	l.BindFlags(fs)
	if err := l.Validate(); err == nil {
		t.Error("the fault was not found")
	}
	if err := fs.Parse([]string{"--lease=30s"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Validate(); err != nil || l.Lease != 30*time.Second {
		t.Errorf("%v, %v", l.Lease, err)
	}
}

func TestValidate_OpenEndpointsMustBeAllowed(t *testing.T) {
	for value, open := range map[string]bool{
		"tcp://127.0.0.1:5556": false, "tcp://localhost:5556": false, "tcp://[::1]:5556": false, "ipc:///run/x": false, "tcp://[::ffff:127.0.0.1]:1": false,
		"tcp://*:5556": true, "tcp://0.0.0.0:5556": true, "tcp://10.0.0.1:5556": true, "tcp://[::]:5556": true, "tcp://127.0.0.1:1,tcp://eth0:2": true,
	} {
		for _, name := range []string{"BIND", "CONNECT"} {
			t.Run(name+"="+value, func(t *testing.T) {
				clearEnv(t)
				t.Setenv("SPANCAST_"+name, value)
				if err := Load().Validate(); (err != nil) != open || open && !strings.Contains(err.Error(), "SPANCAST_ALLOW_INSECURE=true") {
					t.Errorf("got %v", err)
				}
				t.Setenv("SPANCAST_ALLOW_INSECURE", "true")
				if err := Load().Validate(); err != nil {
					t.Errorf("allowed: %v", err)
				}
			})
		}
	}
}

func TestUnknownVariables_AreNotThoseOfKubernetes(t *testing.T) {
	clearEnv(t)
	for _, name := range []string{"SPANCAST_SERVICE_HOST", "SPANCAST_SERVICE_PORT", "SPANCAST_SERVICE_PORT_PUB", "SPANCAST_PORT", "SPANCAST_PORT_5556_TCP_ADDR"} {
		t.Setenv(name, "tcp://10.0.0.1:5556")
	}
	if err := Load().Validate(); err != nil {
		t.Error(err)
	}
}

func TestTargets(t *testing.T) {
	clearEnv(t)
	t.Setenv("SPANCAST_DATABASE", "projects/p/instances/i/databases/d")
	for name, c := range map[string]struct {
		env              map[string]string
		source, metadata Target
	}{
		"google": {nil, Target{"projects/p/instances/i/databases/d", "", false}, Target{"projects/p/instances/i/databases/d", "", false}},
		"emulator": {map[string]string{"SPANNER_EMULATOR_HOST": "emulator:9010"},
			Target{"projects/p/instances/i/databases/d", "emulator:9010", true}, Target{"projects/p/instances/i/databases/d", "emulator:9010", true}},
		"loopback": {map[string]string{"SPANCAST_SPANNER_ENDPOINT": "127.0.0.1:9", "SPANNER_EMULATOR_HOST": "emulator:9010"},
			Target{"projects/p/instances/i/databases/d", "127.0.0.1:9", true}, Target{"projects/p/instances/i/databases/d", "127.0.0.1:9", true}},
		"private endpoint, metadata elsewhere": {map[string]string{"SPANCAST_SPANNER_ENDPOINT": "spanner.internal:443", "SPANCAST_METADATA_DATABASE": "projects/p/instances/j/databases/m"},
			Target{"projects/p/instances/i/databases/d", "spanner.internal:443", false}, Target{"projects/p/instances/j/databases/m", "", false}},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			l := Load()
			if l.Source() != c.source || l.Metadata() != c.metadata {
				t.Errorf("%+v, %+v", l.Source(), l.Metadata())
			}
		})
	}
}

func TestCheckRules_ReadsTheFile(t *testing.T) {
	clearEnv(t)
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte("rules: [{topic: x}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SPANCAST_TOPIC_RULES_FILE", path)
	if err := Load().Validate(); err == nil || !strings.Contains(err.Error(), "rule 1") || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "256MiB": 256 << 20, "3GB": 3e9, "2 KB": 2000} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5MiB", "9999999999GiB", "MiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %d, want an error", text, s)
		}
	}
}

func TestValidate_AQueryIsLongerThanAHeartbeat(t *testing.T) {
	clearEnv(t)
	t.Setenv(Prefix+"_QUERY_WINDOW", "5s")
	t.Setenv(Prefix+"_HEARTBEAT", "5s")
	if err := Load().Validate(); err == nil || !strings.Contains(err.Error(), "SPANCAST_QUERY_WINDOW: 5s is not longer than SPANCAST_HEARTBEAT (5s)") {
		t.Errorf("got %v", err)
	}
}
