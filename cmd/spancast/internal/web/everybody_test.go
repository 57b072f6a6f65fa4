package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// crowded is a status that has something of everything, and something wrong.
func crowded() func() Status {
	status := family(12)
	return func() Status {
		s := status()
		s.Totals.Dropped, s.Replicas[1].Alive = 3, false
		s.Problems = []Problem{{At: time.Now(), Level: "warn", Message: "slow", Advice: "wait", Detail: "a=b", Count: 1}, {At: time.Now(), Level: "error", Message: "broken", Count: 2}}
		s.Config = []Setting{{Name: "SPANCAST_X", Value: "1", Source: "default"}, {Name: "SPANCAST_Y", Source: "environment"}}
		s.Recoveries = recoveries()
		s.Subscriptions = []Subscription{{Prefix: "", Count: 1}, {Prefix: "a.table.with.a.very.long.name.that.does.not.fit.on.the.screen.of.a.phone/INSERT/", Count: 12}}
		s.Subscribers = []Subscriber{{Address: "10.0.0.9:40112", Prefixes: []string{"a.table.with.a.very.long.name.that.does.not.fit.on.the.screen.of.a.phone/INSERT/"}, Since: time.Now()},
			{Identity: "service-account-of-somebody@a-project-with-a-long-name.iam.gserviceaccount.com", Address: "[2001:db8::1]:40112", Audience: "sales", Prefixes: []string{"Orders/"}, Since: time.Now(), Unsent: 1 << 20}}
		s.Audiences = []Audience{{Name: "sales", Subscribers: 1, Dropped: 2}, {Name: "all"}}
		return s
	}
}

// broken is a status of a replica that is of no use.
func broken() func() Status {
	s := empty()
	s.Replica.Reasons = []string{"the partitions are not known yet"}
	s.Tables.Error = "table gone"
	return func() Status { return s }
}

// TestPage_OnAPhone: nothing sticks out to the side.
func TestPage_OnAPhone(t *testing.T) {
	p := open(t, serveStatus(t, crowded()), 390, 844)
	p.shows("ready", "ready")
	p.shows("replicas", "10.0.0.2")
	p.shows("recoveries", "carol")
	p.do(script("for (const d of document.querySelectorAll('details')) d.open = true"))
	p.shows("partitions", "running")
	if wide := eval[float64](p, "document.documentElement.scrollWidth"); wide > 390 {
		t.Errorf("the page is %.0f pixels wide on a screen of 390", wide)
	}
}

// TestPage_ForEverybody: axe-core finds nothing wrong (contrast, labels, names,
// what cannot be reached with the keyboard), in light and dark, on large screens
// and small ones, with everything open, and when there is nothing but trouble.
func TestPage_ForEverybody(t *testing.T) {
	axe := axeCore(t)
	for _, c := range []struct {
		name, theme   string
		width, height int64
		status        func() Status
		shows         [2]string
	}{
		{"light", "light", 1280, 900, crowded(), [2]string{"partitions", "running"}},
		{"dark", "dark", 1280, 900, crowded(), [2]string{"partitions", "running"}},
		{"phone", "light", 390, 844, crowded(), [2]string{"partitions", "running"}},
		{"trouble", "light", 1280, 900, broken(), [2]string{"alert", "table gone"}},
		{"trouble in the dark", "dark", 390, 844, broken(), [2]string{"alert", "table gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, serveStatus(t, c.status), c.width, c.height, theme(c.theme))
			p.until("status !== null")
			p.do(script("for (const d of document.querySelectorAll('details')) d.open = true"))
			p.shows(c.shows[0], c.shows[1])
			p.do(script(axe))
			wrong := eval[[]string](p, `axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.help + '\n' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('\n')))`)
			for _, w := range wrong {
				t.Error(w)
			}
		})
	}
}

// axeCore returns the source of axe-core, from npm.
func axeCore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	npm := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "axe-core@4.10.3")
	if out, err := npm.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("npm install axe-core: %v\n%s", err, out)
		}
		t.Skipf("SKIPPED, NOT TESTED: npm install axe-core: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
