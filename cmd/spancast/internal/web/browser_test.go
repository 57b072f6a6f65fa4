package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const patience = 60 * time.Second

// chromium is one browser for all tests, started for the first that asks.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("chromium: %w", exec.ErrNotFound)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.WSURLReadTimeout(patience))
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	browser, _ := chromedp.NewContext(allocator)
	return browser, chromedp.Do(browser)
})

// TestMain ends the browser with the tests.
func TestMain(m *testing.M) {
	status := m.Run()
	if usedBrowser.Load() {
		if browser, err := chromium(); err == nil {
			chromedp.Cancel(browser)
		}
	}
	os.Exit(status)
}

var usedBrowser atomic.Bool

// A tab is a page in the browser, and what it complained about.
type tab struct {
	context.Context
	t      testing.TB
	shut   func() // closes it before the test ends
	mu     sync.Mutex
	faults []string
	lost   bool // whether requests that fail are expected
}

// open opens a page in a tab of a size. It fails the test at the end if the page
// had errors. Without a browser the test is skipped, except in CI.
func open(t testing.TB, url string, width, height int64, actions ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	usedBrowser.Store(true)
	browser, err := chromium()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	ctx, cancel := chromedp.NewContext(browser)
	ctx, stop := context.WithTimeout(ctx, 2*patience)
	p := &tab{Context: ctx, t: t, shut: func() { stop(); cancel() }}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.shut()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, f := range p.faults {
			t.Errorf("the page complains: %s", f)
		}
	})
	p.do(chromedp.EmulateViewport(width, height))
	p.do(actions...)
	p.do(command(log.Enable, cdp.Empty{}), chromedp.Navigate(url))
	return p
}

func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.faults = append(p.faults, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !(p.lost && e.Entry.Source == log.EntrySourceNetwork) {
			p.faults = append(p.faults, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.Context, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// command is an action of DevTools itself.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// eval returns what an expression gives in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.Context, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// script runs statements in the page.
func script(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](text)
}

// text is what an element shows.
func (p *tab) text(id string) string {
	p.t.Helper()
	return eval[string](p, "document.getElementById('"+id+"').innerText")
}

// until waits until an expression holds in the page.
func (p *tab) until(expression string) {
	p.t.Helper()
	_, err := chromedp.Run(p.Context, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(50*time.Millisecond)))
	if err != nil {
		p.t.Fatalf("%s: %v; the page shows:\n%s", expression, err, eval[string](p, "document.body.innerText"))
	}
}

// shows waits until an element shows a text.
func (p *tab) shows(id, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.getElementById(%q).innerText.includes(%q)", id, text))
}

func theme(name string) chromedp.Action[chromedp.Void] {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// serveStatus serves a status that a test makes up.
func serveStatus(t testing.TB, status func() Status) string {
	t.Helper()
	none := func() []string { return nil }
	var messages atomic.Int64
	s := New(Options{
		Status: status, Endpoints: func() any { return nil }, Live: none, Ready: none, Startup: none, Log: slog.New(slog.DiscardHandler),
		Metrics: http.NotFoundHandler(),
		Sample: func() Sample {
			lag := 0.4
			return Sample{At: time.Now().UnixMilli(), Own: &lag, Fleet: &lag, Messages: messages.Add(100)}
		},
	})
	return serve(t, s)
}

func serve(t testing.TB, s *Server) string {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		cancel()
		<-done
		h.CloseClientConnections()
		h.Close()
	})
	return h.URL
}

// empty is the status of a replica that has just started.
func empty() Status {
	return Status{Now: time.Now().UTC(), Version: "test", Command: "serve", Database: "projects/p/instances/i/databases/d", Stream: "S",
		Replica: Self{ID: "a", Since: time.Now(), Reasons: []string{}, Publish: []string{}}, Replicas: []Replica{}, Partitions: []Partition{},
		Topics: []Topic{}, Subscriptions: []Subscription{}, Subscribers: []Subscriber{}, Audiences: []Audience{}, Recoveries: []Recovery{}, Problems: []Problem{}, Config: []Setting{}, Buffer: Buffer{Limit: 1 << 20}}
}

// family makes a status of n partitions that live, and their parents, of a fleet
// of three.
func family(n int) func() Status {
	began := time.Now().Add(-50 * time.Second)
	return func() Status {
		s, now := empty(), time.Now().UTC()
		resolved := now.Add(-300 * time.Millisecond)
		s.Replica.Ready, s.Replica.Owned, s.Resolved = true, n/3, Resolved{Own: &resolved, Fleet: &resolved}
		for i, id := range []string{"a", "b", "c"} {
			s.Replicas = append(s.Replicas, Replica{ID: id, LastSeen: now, Alive: true, Self: i == 0, Partitions: n / 3, Endpoints: []string{"tcp://10.0.0." + fmt.Sprint(i+1) + ":5556"}})
		}
		for i := range n {
			end := began.Add(time.Duration(i%20) * 2 * time.Second)
			parent := fmt.Sprintf("p%05d", i/2)
			if i%2 == 0 {
				s.Partitions = append(s.Partitions, Partition{ID: parent, Parents: []string{}, State: "FINISHED", Start: began.Add(-20 * time.Second), End: &end, Position: end, Epoch: 1})
			}
			s.Partitions = append(s.Partitions, Partition{ID: fmt.Sprintf("c%05d", i), Parents: []string{parent}, State: "RUNNING", Start: end, Position: now.Add(-2 * time.Second), Owner: s.Replicas[i%3].ID, Epoch: 1, Expiry: &now})
		}
		s.Topics = []Topic{{Topic: "", Count: 300}, {Topic: "Orders/", Count: 200}, {Topic: "Orders/UPDATE/", Count: 150}}
		return s
	}
}

// TestPage_BeforeAnythingIsKnown shows what is not there, in words.
func TestPage_BeforeAnythingIsKnown(t *testing.T) {
	s := empty()
	s.Replica.Reasons = []string{"the partitions are not known yet"}
	s.Problems = []Problem{{At: time.Now(), Level: "error", Message: "it broke <b>badly</b>", Detail: "partition=x", Advice: "mend it", Count: 3}}
	s.Tables.Error = "table gone"
	p := open(t, serveStatus(t, func() Status { return s }), 1280, 900)
	p.shows("ready", "not ready")
	p.shows("alert", "the partitions are not known yet")
	p.shows("alert", "table gone")
	p.shows("tree-empty", "No partitions are known yet")
	p.shows("topics", "Nothing was published yet")
	p.shows("subscriptions", "Nobody is subscribed here")
	for _, want := range []string{"it broke <b>badly</b>", "mend it", "3 times", "partition=x"} {
		p.shows("problems", want)
	}
	if got := p.text("t-lag"); got != "–" {
		t.Errorf("lag %q, which is not known", got)
	}
}

// TestPage_AThousandPartitions: they are drawn (the log says how fast), can be found, and
// reached with the keyboard.
func TestPage_AThousandPartitions(t *testing.T) {
	p := open(t, serveStatus(t, family(1000)), 1280, 900)
	p.shows("t-partitions", "1\u202f000")
	ms := eval[float64](p, "(() => { paint(); const t = performance.now(); for (let i = 0; i < 5; i++) { show(); paint(); } return (performance.now() - t) / 5; })()")
	first := eval[float64](p, "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1")
	t.Logf("first paint after %.0f ms; drawing 1000 partitions takes %.1f ms", first, ms)
	p.do(script("document.getElementById('d-partitions').open = true; document.getElementById('find').focus()"), chromedp.SendKeys("#find", "c00017"))
	p.until("document.querySelectorAll('#partitions tr').length === 1")
	p.shows("partitions", "c00017")
	p.shows("partitions", "p00008")
	p.do(chromedp.Focus("#tree"), chromedp.KeyEvent(kb.ArrowUp))
	p.until("document.getElementById('tree-detail').innerText !== ''")
	before := p.text("tree-detail")
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	p.until("document.getElementById('tree-detail').innerText !== " + fmt.Sprintf("%q", before))
}

// TestPage_IsSmallAndOwn: it weighs less than 100 KB and names no other place.
func TestPage_IsSmallAndOwn(t *testing.T) {
	entries, err := files.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, e := range entries {
		b, err := files.ReadFile("page/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
		for _, bad := range []string{"https://", "http://", "innerHTML", "eval("} {
			if strings.Contains(strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", ""), bad) {
				t.Errorf("%s has %s", e.Name(), bad)
			}
		}
	}
	if total > 100<<10 {
		t.Errorf("the page has %d bytes", total)
	}
}
