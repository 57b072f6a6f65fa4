package test

import (
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
)

// raw returns two plain SUB sockets: one behind the proxies, and one that is
// connected to each replica as long as it lives.
func (f *stormy) raw() (cut, whole *harness.Subscriber) {
	return harness.Subscribe(f.t, []string{f.places[0].publish.Endpoint(), f.places[1].publish.Endpoint()}, ""),
		harness.Subscribe(f.t, []string{f.places[0].replica.Endpoint, f.places[1].replica.Endpoint}, "")
}

// holes checks that a plain SUB socket can name every hole: of every epoch that
// both have heard, each change that the whole one has, between the first and the
// last counter that the other knows, either came to it or is in a jump of the
// counters.
func (f *stormy) holes(cut, whole []*harness.Message) {
	f.t.Helper()
	came, named, missing := 0, 0, 0
	counted := make(map[string]map[uint64]string) // by epoch, what came with which counter
	named1 := make(map[string]map[uint64]bool)    // counters that are known to be missing
	last := make(map[string]uint64)
	for _, m := range cut {
		epoch := string(m.Header.Epoch)
		n, ok := m.Header.Counter(0)
		if !ok || m.Kind != "" && m.Topic != message.Resolved {
			continue
		}
		if counted[epoch] == nil {
			counted[epoch], named1[epoch] = make(map[uint64]string), make(map[uint64]bool)
			last[epoch] = n
			if m.Kind == "" {
				counted[epoch][n] = m.Version.String()
			}
			continue
		}
		upTo := n
		if m.Kind == "" {
			counted[epoch][n] = m.Version.String()
			upTo = n - 1
			came++
		}
		for k := last[epoch] + 1; k <= upTo; k++ {
			named1[epoch][k] = true
			named++
		}
		last[epoch] = max(last[epoch], n)
	}
	for _, m := range whole {
		epoch := string(m.Header.Epoch)
		n, _ := m.Header.Counter(0)
		if m.Kind != "" || counted[epoch] == nil || n > last[epoch] {
			continue
		}
		version, got := counted[epoch][n]
		if got && version != m.Version.String() {
			f.t.Errorf("epoch %s: counter %d is %s here and %s there", epoch, n, version, m.Version)
		}
		if !got && !named1[epoch][n] && n > first(counted[epoch], named1[epoch]) {
			missing++
		}
	}
	if missing > 0 {
		f.t.Errorf("%d changes did not come to a plain SUB socket, and the counters do not say so", missing)
	}
	f.t.Logf("a plain SUB socket: %d changes came, %d are missing and named", came, named)
}

func first(came map[uint64]string, named map[uint64]bool) uint64 {
	low := ^uint64(0)
	for n := range came {
		low = min(low, n)
	}
	for n := range named {
		low = min(low, n)
	}
	return low
}
