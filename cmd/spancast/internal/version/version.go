// Package version says what this program is made of.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"

	zmq "github.com/pebbe/zmq4"
)

// Number is the version of Spancast.
const Number = "0.1.0-dev"

// Info are the versions that matter when something is wrong.
type Info struct {
	Spancast string `json:"spancast"`
	Revision string `json:"revision,omitempty"` // of the source, when it was built from a checkout
	Go       string `json:"go"`
	Platform string `json:"platform"`
	LibZMQ   string `json:"libzmq"`
	Curve    bool   `json:"curve"` // whether libzmq has it
	Sodium   string `json:"libsodium,omitempty"`
	Spanner  string `json:"spanner_client,omitempty"`
}

// Get reads the versions of this build.
func Get() Info {
	major, minor, patch := zmq.Version()
	i := Info{
		Spancast: Number, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		LibZMQ: fmt.Sprintf("%d.%d.%d", major, minor, patch), Curve: zmq.HasCurve(), Sodium: sodium(),
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return i
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" {
			i.Revision = s.Value
		}
	}
	for _, m := range build.Deps {
		if m.Path == "cloud.google.com/go/spanner" {
			i.Spanner = m.Version
		}
	}
	return i
}

// String is a line for each.
func (i Info) String() string {
	out := fmt.Sprintf("spancast %s\n", i.Spancast)
	if i.Revision != "" {
		out += fmt.Sprintf("revision %s\n", i.Revision)
	}
	return out + fmt.Sprintf("go       %s %s\nlibzmq   %s, CURVE %s\nsodium   %s\nspanner  client %s\n", i.Go, i.Platform, i.LibZMQ, yes(i.Curve), orUnknown(i.Sodium), i.Spanner)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
