package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/topics"
)

// Database is the full name of a database.
type Database string

// UnmarshalText checks the form.
func (d *Database) UnmarshalText(b []byte) error {
	parts := strings.Split(string(b), "/")
	if len(parts) != 6 || parts[0] != "projects" || parts[2] != "instances" || parts[4] != "databases" || slices.Contains(parts, "") {
		return fmt.Errorf("%q is not of the form projects/P/instances/I/databases/D", b)
	}
	*d = Database(b)
	return nil
}

// MarshalText is the inverse of UnmarshalText, as of the other types here.
func (d Database) MarshalText() ([]byte, error) { return []byte(d), nil }

// Instance is the name of the database's instance.
func (d Database) Instance() string {
	instance, _, _ := strings.Cut(string(d), "/databases/")
	return instance
}

// ID is the last part of the database's name.
func (d Database) ID() string { return string(d[strings.LastIndexByte(string(d), '/')+1:]) }

// Prefixed is the beginning of a table's name.
type Prefixed string

// UnmarshalText checks the form.
func (p *Prefixed) UnmarshalText(b []byte) error {
	if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`).Match(b) {
		return fmt.Errorf("%q cannot begin the name of a table: letters, digits and _, a letter first, at most 64", b)
	}
	*p = Prefixed(b)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Prefixed) MarshalText() ([]byte, error) { return []byte(p), nil }

// Endpoint is host:port of a gRPC server.
type Endpoint string

// UnmarshalText checks the form.
func (e *Endpoint) UnmarshalText(b []byte) error {
	if _, port, err := net.SplitHostPort(string(b)); err != nil || port == "" {
		return fmt.Errorf("%q is not of the form host:port", b)
	}
	*e = Endpoint(b)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e), nil }

// Loopback tells whether the endpoint is on this machine.
func (e Endpoint) Loopback() bool {
	host, _, _ := net.SplitHostPort(string(e))
	return isLoopback(host)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Listen is a host:port to listen on, empty for none.
type Listen string

// UnmarshalText checks the form.
func (l *Listen) UnmarshalText(b []byte) error {
	if string(b) == "none" {
		*l = ""
		return nil
	}
	_, port, err := net.SplitHostPort(string(b))
	if err != nil || port == "" {
		return fmt.Errorf("%q is not of the form host:port, nor none", b)
	}
	if n, err := strconv.Atoi(port); err == nil && (n < 0 || n > math.MaxUint16) {
		return fmt.Errorf("%q: the port is not between 0 and 65535", b)
	}
	*l = Listen(b)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (l Listen) MarshalText() ([]byte, error) {
	if l == "" {
		return []byte("none"), nil
	}
	return []byte(l), nil
}

// Endpoints are ZeroMQ endpoints.
type Endpoints []string

// UnmarshalText reads a list with commas; none is the empty one.
func (e *Endpoints) UnmarshalText(b []byte) error {
	*e = nil
	if string(b) == "none" {
		return nil
	}
	for _, s := range strings.Split(string(b), ",") {
		s = strings.TrimSpace(s)
		scheme, address, ok := strings.Cut(s, "://")
		switch {
		case !ok || address == "":
			return fmt.Errorf("%q is not an endpoint; one looks like tcp://127.0.0.1:5556", s)
		case scheme == "ipc":
		case scheme != "tcp":
			return fmt.Errorf("%q has a transport that is not supported; there are tcp and ipc", s)
		default:
			_, port, err := net.SplitHostPort(address)
			if n, bad := strconv.Atoi(port); err != nil || port != "*" && (bad != nil || n < 0 || n > math.MaxUint16) {
				return fmt.Errorf("%q has no host, or no port between 0 and 65535; an endpoint looks like tcp://127.0.0.1:5556", s)
			}
		}
		*e = append(*e, s)
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (e Endpoints) MarshalText() ([]byte, error) { return []byte(strings.Join(e, ",")), nil }

// open returns the endpoints that others than this machine can reach, or are
// elsewhere.
func (e Endpoints) open() []string {
	var out []string
	for _, s := range e {
		address, isTCP := strings.CutPrefix(s, "tcp://")
		if host, _, _ := net.SplitHostPort(address); isTCP && !isLoopback(host) {
			out = append(out, s)
		}
	}
	return out
}

// Issuers are URLs of OIDC issuers.
type Issuers []string

// UnmarshalText splits at commas.
func (i *Issuers) UnmarshalText(b []byte) error {
	*i = nil
	for _, s := range strings.Split(string(b), ",") {
		s = strings.TrimSpace(s)
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
			return fmt.Errorf("%q is not the https URL of an issuer; one looks like https://accounts.google.com", s)
		}
		*i = append(*i, s)
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (i Issuers) MarshalText() ([]byte, error) { return []byte(strings.Join(i, ",")), nil }

// Secret is text that is not shown.
type Secret string

// UnmarshalText takes everything, so that no fault repeats it.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = Secret(b)
	return nil
}

// MarshalText does not show the secret.
func (s Secret) MarshalText() ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	return []byte("(set)"), nil
}

// Format does not show the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { f.Write([]byte("(secret)")) }

// Size is a number of bytes.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}, {"", 1}}

// UnmarshalText reads a whole number with a unit.
func (s *Size) UnmarshalText(b []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(b), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size; one looks like 256MiB", b)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range units {
		if s > 0 && int64(s)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.name), nil
		}
	}
	return []byte("0B"), nil
}

// StartAt is where the first run begins.
type StartAt struct {
	at   time.Time     // if set
	back time.Duration // else this long before now
}

// UnmarshalText reads now, a time, or a duration.
func (s *StartAt) UnmarshalText(b []byte) error {
	text := string(b)
	if text == "now" {
		*s = StartAt{}
		return nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		*s = StartAt{at: t.UTC()}
		return nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		*s = StartAt{back: d}
		return nil
	}
	return fmt.Errorf("%q is not now, an RFC 3339 time such as 2026-11-20T09:54:00Z, or a duration back such as 10m", text)
}

// MarshalText implements encoding.TextMarshaler.
func (s StartAt) MarshalText() ([]byte, error) {
	switch {
	case !s.at.IsZero():
		return []byte(s.at.Format(time.RFC3339Nano)), nil
	case s.back > 0:
		return []byte(s.back.String()), nil
	}
	return []byte("now"), nil
}

// Time is the instant that is meant, given what now is.
func (s StartAt) Time(now time.Time) time.Time {
	if !s.at.IsZero() {
		return s.at
	}
	return now.Add(-s.back)
}

// GapPolicy is a changestream.GapPolicy.
type GapPolicy changestream.GapPolicy

// UnmarshalText accepts the policies there are.
func (p *GapPolicy) UnmarshalText(b []byte) error {
	return oneOf(p, b, string(changestream.GapStop), string(changestream.GapSkip))
}

// MarshalText implements encoding.TextMarshaler.
func (p GapPolicy) MarshalText() ([]byte, error) { return []byte(p), nil }

// SlowPolicy is a publisher.SlowPolicy.
type SlowPolicy publisher.SlowPolicy

// UnmarshalText accepts the policies there are.
func (p *SlowPolicy) UnmarshalText(b []byte) error {
	return oneOf(p, b, string(publisher.SlowDrop), string(publisher.SlowBlock))
}

// MarshalText implements encoding.TextMarshaler.
func (p SlowPolicy) MarshalText() ([]byte, error) { return []byte(p), nil }

// Format is the format of bodies.
type Format string

// The formats.
const (
	Native      Format = "native"
	CloudEvents Format = "cloudevents"
	Debezium    Format = "debezium"
)

// UnmarshalText accepts the formats there are.
func (f *Format) UnmarshalText(b []byte) error {
	return oneOf(f, b, string(Native), string(CloudEvents), string(Debezium))
}

// MarshalText implements encoding.TextMarshaler.
func (f Format) MarshalText() ([]byte, error) { return []byte(f), nil }

// LogFormat is the format of logs, empty to choose by where they go.
type LogFormat string

// UnmarshalText accepts the formats there are.
func (f *LogFormat) UnmarshalText(b []byte) error { return oneOf(f, b, "json", "text") }

// MarshalText implements encoding.TextMarshaler.
func (f LogFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

func oneOf[T ~string](to *T, b []byte, values ...string) error {
	if !slices.Contains(values, string(b)) {
		return fmt.Errorf("%q is not one of %s", b, strings.Join(values, ", "))
	}
	*to = T(b)
	return nil
}

// UnmarshalText accepts the levels there are.
func (l *Level) UnmarshalText(b []byte) error {
	if l.Level.UnmarshalText(b) != nil {
		return fmt.Errorf("%q is not one of debug, info, warn, error", b)
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(l.Level.String())), nil }

// Template is a topic template.
type Template struct{ *topics.Template }

// UnmarshalText parses the template.
func (t *Template) UnmarshalText(b []byte) (err error) {
	t.Template, err = topics.ParseTemplate(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (t Template) MarshalText() ([]byte, error) {
	if t.Template == nil {
		return nil, errors.New("no template")
	}
	return []byte(t.String()), nil
}
