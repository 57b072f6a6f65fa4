package config

import (
	"fmt"
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
	"ADVERTISE": "", "HTTP": "127.0.0.1:8080", "TOPIC": "{table}/{op}/", "TOPIC_RULES_FILE": "", "FORMAT": "native", "SEND_HWM": "20000", "IO_THREADS": "0",
	"SLOW_SUBSCRIBER": "drop", "BLOCK_TIMEOUT": "5s", "ZMTP_HEARTBEAT": "0s", "MAX_BUFFER": "256MiB", "RESOLVED_INTERVAL": "1s",
	"CHECKPOINT_INTERVAL": "1s", "CHECKPOINT_LAG": "2s", "LEASE": "10s", "MAX_PARTITIONS": "0", "REQUIRE_SUBSCRIBER": "false",
	"CURVE_SECRET_KEY": "", "CURVE_SECRET_KEY_FILE": "", "CURVE_ROTATION_OFFSET": "100", "ACCESS_FILE": "",
	"OIDC_ISSUERS": "", "OIDC_AUDIENCE": "", "CONNECT_SERVER_KEY": "", "CONNECT_SERVER_KEY_FILE": "", "HTTP_CERT_FILE": "", "HTTP_KEY_FILE": "",
	"ALLOW_INSECURE": "false", "LOG_LEVEL": "info", "LOG_FORMAT": "", "FORWARD_BIND": "tcp://127.0.0.1:5555", "PROFILE": "false",
}

// others are values that differ from the defaults.
var others = map[string]string{
	"DATABASE": "projects/p/instances/i/databases/d", "CHANGE_STREAM": "S", "METADATA_DATABASE": "projects/p/instances/i/databases/m",
	"SPANNER_ENDPOINT": "localhost:9010", "METADATA_ENDPOINT": "[::1]:9011", "METADATA_PREFIX": "Cast_2", "DATABASE_ROLE": "reader", "START_AT": "10m0s",
	"ON_GAP": "skip", "QUERY_WINDOW": "1m", "HEARTBEAT": "5s", "BIND": "tcp://127.0.0.1:1,ipc:///tmp/x", "CONNECT": "tcp://localhost:2", "ADVERTISE": "tcp://h:3", "RECOVERY_BIND": "tcp://127.0.0.1:7",
	"HTTP": "none", "TOPIC": "{table}/{key}/", "TOPIC_RULES_FILE": "rules.yaml", "FORMAT": "debezium", "SEND_HWM": "7", "IO_THREADS": "3", "SLOW_SUBSCRIBER": "block",
	"BLOCK_TIMEOUT": "1s", "ZMTP_HEARTBEAT": "5s", "MAX_BUFFER": "1GiB", "RESOLVED_INTERVAL": "2s", "CHECKPOINT_INTERVAL": "2s", "CHECKPOINT_LAG": "3s",
	"LEASE": "20s", "MAX_PARTITIONS": "5", "REQUIRE_SUBSCRIBER": "true", "ALLOW_INSECURE": "true", "LOG_LEVEL": "debug", "LOG_FORMAT": "text", "FORWARD_BIND": "tcp://127.0.0.1:4", "PROFILE": "true",
	"CURVE_SECRET_KEY": secretText, "CURVE_SECRET_KEY_FILE": "server.key", "CURVE_ROTATION_OFFSET": "7", "ACCESS_FILE": "access.yaml",
	"OIDC_ISSUERS": "https://a,http://127.0.0.1:1/b", "OIDC_AUDIENCE": "spancast",
	"CONNECT_SERVER_KEY": publicText, "CONNECT_SERVER_KEY_FILE": "forwarder.pub", "HTTP_CERT_FILE": "tls.crt", "HTTP_KEY_FILE": "tls.key",
}

// secretText is a secret key, that of the examples of ZeroMQ's documentation.
const secretText = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

// publicText is a public key, from the same place.
const publicText = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

// shown is the value of a variable as it is printed.
func shown(value string) string {
	if value == secretText {
		return "(set)"
	}
	return value
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
			if v.err != nil || v.Value() != shown(value) || v.Source() != FromEnv {
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
			if v := l.variable(name); v.Value() != shown(value) || v.Source() != FromFlag {
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
		"SEND_HWM": "0", "IO_THREADS": "65", "SLOW_SUBSCRIBER": "wait", "MAX_BUFFER": "lots", "LEASE": "2s", "CHECKPOINT_INTERVAL": "1s", "MAX_PARTITIONS": "-1",
		"LOG_LEVEL": "loud", "LOG_FORMAT": "xml", "HTTP": "8080", "REQUIRE_SUBSCRIBER": "maybe", "DATABSE": "x", "CURVE_SECRET_KEY": "hunter2", "CURVE_ROTATION_OFFSET": "far", "TYPO": "x",
	} {
		t.Setenv(Prefix+"_"+name, value)
	}
	err := Load().Validate("DATABASE", "CHANGE_STREAM")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`SPANCAST_DATABASE: "shop" is not of the form projects/P/instances/I/databases/D`, `SPANCAST_METADATA_PREFIX: "1x"`, `SPANCAST_SPANNER_ENDPOINT: "nohost"`,
		`SPANCAST_START_AT: "yesterday"`, `SPANCAST_ON_GAP: "panic" is not one of stop, skip`, `SPANCAST_QUERY_WINDOW: "2x" is not a duration; one looks like 500ms`,
		`SPANCAST_HEARTBEAT: 1ms is not between 100ms and 5m`, `SPANCAST_BIND: "http://x"`, `SPANCAST_CONNECT: "tcp://x"`, `SPANCAST_TOPIC: topic template`,
		`SPANCAST_TOPIC_RULES_FILE: `, `SPANCAST_FORMAT: "avro"`, `SPANCAST_SEND_HWM: 0`, `SPANCAST_IO_THREADS: 65 is not between 0 and 64`, `SPANCAST_SLOW_SUBSCRIBER: "wait"`, `SPANCAST_MAX_BUFFER: "lots"`,
		`SPANCAST_LEASE: 2s is less than three times`, `SPANCAST_MAX_PARTITIONS: -1`, `SPANCAST_LOG_LEVEL: "loud"`, `SPANCAST_LOG_FORMAT: "xml"`,
		`SPANCAST_HTTP: "8080"`, `SPANCAST_REQUIRE_SUBSCRIBER: "maybe" is not true or false`, `SPANCAST_CURVE_ROTATION_OFFSET: "far" is not a whole number`, `SPANCAST_TYPO is not a variable of this version; spancast config lists them`, `SPANCAST_CHANGE_STREAM is required`,
		`SPANCAST_DATABSE is not a variable of this version; is SPANCAST_DATABASE meant?`, `SPANCAST_CURVE_SECRET_KEY: not a CURVE key`, `SPANCAST_ACCESS_FILE is required with CURVE`,
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

// TestValidateForwarder_WantsBothSides, whatever else the configuration is for.
func TestValidateForwarder_WantsBothSides(t *testing.T) {
	for _, name := range []string{"BIND", "FORWARD_BIND"} {
		clearEnv(t)
		t.Setenv("SPANCAST_CONNECT", "tcp://127.0.0.1:5555")
		t.Setenv("SPANCAST_"+name, "none")
		if err := Load().ValidateForwarder(); err == nil || !strings.HasPrefix(err.Error(), "SPANCAST_"+name+": a forwarder needs an endpoint for ") {
			t.Errorf("%s=none: %v", name, err)
		}
	}
	clearEnv(t)
	if err := Load().ValidateForwarder(); err != nil {
		t.Error(err)
	}
}

func TestListen_HasAPortThatThereIs(t *testing.T) {
	for text, good := range map[string]bool{"127.0.0.1:65535": true, ":http": true, "127.0.0.1:65536": false, "127.0.0.1:-1": false} {
		if err := new(Listen).UnmarshalText([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
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

// writeFile writes a file that lasts as long as the test.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestValidate_OpenEndpointsAreAllowedWithCurve(t *testing.T) {
	clearEnv(t)
	t.Setenv("SPANCAST_BIND", "tcp://*:5556")
	t.Setenv("SPANCAST_CURVE_SECRET_KEY_FILE", writeFile(t, secretText+"\n"))
	t.Setenv("SPANCAST_ACCESS_FILE", writeFile(t, "identities: [{name: me}]"))
	if err := Load().Validate(); err != nil {
		t.Error(err)
	}
	t.Setenv("SPANCAST_CONNECT", "tcp://10.0.0.1:5556") // a forwarder reads in clear
	if err := Load().Validate(); err == nil || !strings.Contains(err.Error(), "SPANCAST_CONNECT: tcp://10.0.0.1:5556 is not a loopback address") ||
		!strings.Contains(err.Error(), "SPANCAST_CONNECT_SERVER_KEY") {
		t.Error(err)
	}
	t.Setenv("SPANCAST_CONNECT_SERVER_KEY_FILE", writeFile(t, publicText+"\n"))
	t.Setenv("SPANCAST_FORWARD_BIND", "tcp://*:5555")
	if err := Load().Validate(); err != nil {
		t.Error(err)
	}
	// Where nothing is bound, nobody has to be named.
	t.Setenv("SPANCAST_BIND", "none")
	t.Setenv("SPANCAST_RECOVERY_BIND", "none")
	t.Setenv("SPANCAST_FORWARD_BIND", "")
	t.Setenv("SPANCAST_ACCESS_FILE", "")
	if err := Load().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate_KeysAndAccessFileGoTogether(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nobody to let in":             {map[string]string{"CURVE_SECRET_KEY": secretText}, "SPANCAST_ACCESS_FILE is required with CURVE"},
		"not enforced":                 {map[string]string{"ACCESS_FILE": writeFile(t, "")}, "SPANCAST_ACCESS_FILE: nothing of it is enforced without CURVE"},
		"two places":                   {map[string]string{"CURVE_SECRET_KEY": secretText, "CURVE_SECRET_KEY_FILE": writeFile(t, secretText)}, "are both set"},
		"missing key file":             {map[string]string{"CURVE_SECRET_KEY_FILE": "/no/such/key"}, "SPANCAST_CURVE_SECRET_KEY_FILE: server keys in /no/such/key"},
		"three keys":                   {map[string]string{"CURVE_SECRET_KEY": strings.Repeat(secretText+" ", 3)}, "SPANCAST_CURVE_SECRET_KEY: 3 keys"},
		"access file fault":            {map[string]string{"CURVE_SECRET_KEY": secretText, "ACCESS_FILE": writeFile(t, "identites: []")}, "field identites not found"},
		"audience endpoint":            {map[string]string{"CURVE_SECRET_KEY": secretText, "ACCESS_FILE": writeFile(t, `audiences: [{name: a, topics: [""], endpoints: [nonsense]}]`)}, `audience a: "nonsense" is not an endpoint`},
		"issuer in clear":              {map[string]string{"OIDC_ISSUERS": "http://accounts.example.com"}, "SPANCAST_OIDC_ISSUERS: \"http://accounts.example.com\" is not the https URL"},
		"issuer for nobody":            {map[string]string{"OIDC_ISSUERS": "https://a"}, "SPANCAST_OIDC_AUDIENCE is required with SPANCAST_OIDC_ISSUERS"},
		"forwarder's key without ours": {map[string]string{"CONNECT_SERVER_KEY": publicText}, "SPANCAST_CURVE_SECRET_KEY_FILE is required with SPANCAST_CONNECT_SERVER_KEY"},
		"no key of a forwarder":        {map[string]string{"CONNECT_SERVER_KEY": "short"}, "SPANCAST_CONNECT_SERVER_KEY: not a CURVE key"},
		"no file of a forwarder's":     {map[string]string{"CONNECT_SERVER_KEY_FILE": "/no/such/key"}, "SPANCAST_CONNECT_SERVER_KEY_FILE: public keys in /no/such/key"},
		"certificate without key":      {map[string]string{"HTTP_CERT_FILE": "x"}, "SPANCAST_HTTP_CERT_FILE and SPANCAST_HTTP_KEY_FILE go together"},
		"no certificate":               {map[string]string{"HTTP_CERT_FILE": "/no/such/cert", "HTTP_KEY_FILE": "/no/such/key"}, "SPANCAST_HTTP_CERT_FILE and SPANCAST_HTTP_KEY_FILE: open /no/such/cert"},
		"tokens in clear": {map[string]string{"OIDC_ISSUERS": "https://a", "OIDC_AUDIENCE": "b", "CURVE_SECRET_KEY": secretText, "ACCESS_FILE": writeFile(t, ""), "HTTP": "0.0.0.0:8080"},
			"SPANCAST_HTTP: 0.0.0.0:8080 is not a loopback address, and ID tokens would be sent to it in clear; set SPANCAST_HTTP_CERT_FILE"},
		"no place for CONNECT": {map[string]string{"CURVE_SECRET_KEY": secretText, "CONNECT": "tcp://127.0.0.1:1",
			"ACCESS_FILE": writeFile(t, `audiences: [{name: a, topics: [""], endpoints: ["tcp://127.0.0.1:2"]}]`)}, "nothing would be published to SPANCAST_CONNECT"},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			for k, v := range c.env {
				t.Setenv("SPANCAST_"+k, v)
			}
			err := Load().Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), secretText) {
				t.Error("the secret is shown")
			}
		})
	}
}

func TestSecret_IsNeverPrinted(t *testing.T) {
	clearEnv(t)
	t.Setenv("SPANCAST_CURVE_SECRET_KEY", secretText)
	l := Load()
	var all []string
	for _, format := range []string{"text", "env", "json", "md"} {
		out, err := l.Print(format)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out)
	}
	all = append(all, fmt.Sprintf("%v %+v %#v %s %q %x", l.Config, l.Config, l.Config, l.CurveSecretKey, l.CurveSecretKey, l.CurveSecretKey))
	for _, out := range all {
		if strings.Contains(out, secretText) || strings.Contains(out, fmt.Sprintf("%x", secretText)) {
			t.Errorf("the secret is shown in\n%s", out)
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
