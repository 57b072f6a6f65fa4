package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/test/harness"
)

// stormFor is how long TestSubscriber_… lets things go wrong;
// SPANCAST_SOAK=10m for longer (make soak-subscriber).
func stormFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SPANCAST_SOAK")
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSubscriber_SeesEveryChangeOnceInAStorm: two replicas are killed, stopped
// and started again, partitions split, merge and move, connections are cut in the middle of
// messages and stall; subscribers come late, leave and come back, are slow, or
// follow. Each sees every change of its topics once, in the order of its key.
func TestSubscriber_SeesEveryChangeOnceInAStorm(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SPANCAST_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	t.Logf("SPANCAST_SEED=%d", seed)
	f := newFleet(t, seed)
	began := f.commit(0, "Orders", "Users")
	audience := []*listener{
		f.listen("all", subscriber.Options{Since: began}),
		f.listen("orders", subscriber.Options{Since: began, Topics: []string{"Orders/"}}),
		f.listen("some", subscriber.Options{Since: began, Topics: []string{"Orders/INSERT/", "Orders/UPDATE/", "Users/"}, Buffer: 1 << 16}),
		f.listen("slow", subscriber.Options{Since: began, Queue: 50, Remember: 1000}),
		f.listen("leaving", subscriber.Options{Since: began, Cursor: subscriber.FileCursor(filepath.Join(t.TempDir(), "cursor"))}),
		f.listen("follower", subscriber.Options{Since: began, Follow: true, Recover: f.recovery()}),
		f.listen("follower of users", subscriber.Options{Since: began, Follow: true, Topics: []string{"Users/"}}),
	}
	raw, whole := f.raw()
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 2 {
		load.Go(func() { f.load(rand.New(rand.NewPCG(seed, uint64(i))), 10*time.Millisecond, stop) })
	}
	half := stormFor(t) / 2
	f.storm(half)
	audience = append(audience, f.listen("late", subscriber.Options{Since: began}))
	f.storm(half)
	close(stop)
	load.Wait()
	f.calm()
	last := f.commit(1, "Orders", "Users")
	for _, l := range audience {
		l.until(last)
		l.check()
	}
	f.holes(raw.Messages(), whole.Messages())
	f.stop()
}

// A stormy fleet: two places with a replica each, behind proxies.
type stormy struct {
	*shop
	server *emulator.Server
	random *rand.Rand
	places [2]*place
	truth  []*harness.Subscriber
}

type place struct {
	publish, recover *harness.Proxy
	replica          *harness.Replica
}

func newFleet(t *testing.T, seed uint64) *stormy {
	server, err := emulator.Start(t.Context(), emulator.Options{MinHeartbeat: 50 * time.Millisecond, ChurnEvery: 700 * time.Millisecond, Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	f := &stormy{shop: newShop(t, server.Addr()), server: server, random: rand.New(rand.NewPCG(seed, 99))}
	for i := range f.places {
		f.places[i] = &place{publish: harness.NewProxy(t, seed+uint64(i), 200_000), recover: harness.NewProxy(t, seed+10+uint64(i), 100_000)}
		f.start(f.places[i])
	}
	return f
}

func (f *stormy) start(p *place) {
	p.replica = harness.Serve(f.t, f.with("SPANCAST_LEASE", "1s", "SPANCAST_MAX_PARTITIONS", "4", "SPANCAST_ADVERTISE", p.publish.Endpoint()))
	p.publish.To(p.replica.Endpoint)
	p.recover.To(p.replica.Recover)
}

func (f *stormy) recovery() []string {
	return []string{f.places[0].recover.Endpoint(), f.places[1].recover.Endpoint()}
}

// storm lets things go wrong for a while.
func (f *stormy) storm(d time.Duration) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < d; <-tick.C {
		p := f.places[f.random.IntN(2)]
		switch f.random.IntN(14) {
		case 0:
			p.replica.Kill()
			f.start(p)
		case 1:
			p.replica.Stop()
			f.start(p)
		case 2, 3:
			p.publish.Stall()
		case 4, 5, 6, 7:
			p.publish.Resume()
		case 8:
			p.publish.Cut()
		case 9:
			p.recover.Cut()
		default:
			if err := f.server.Churn(f.Name, shopStream, emulator.Step, ""); err != nil && !errors.Is(err, emulator.ErrChurn) {
				f.t.Error(err)
			}
		}
	}
}

// calm ends what goes wrong.
func (f *stormy) calm() {
	for _, p := range f.places {
		p.publish.Resume()
	}
}

func (f *stormy) stop() {
	for _, p := range f.places {
		p.replica.Stop()
	}
}

// A listener is one subscriber, and what it was handed.
type listener struct {
	f    *stormy
	name string
	opt  subscriber.Options

	mu  sync.Mutex
	got []*harness.Message
	sub *subscriber.Subscriber
}

// listen starts a subscriber, until the test ends. Its name says how it behaves.
func (f *stormy) listen(name string, o subscriber.Options) *listener {
	f.t.Helper()
	o.Connect = []string{f.places[0].publish.Endpoint(), f.places[1].publish.Endpoint()}
	o.OnGap = func(g subscriber.Gap) error { return errors.New(g.String()) }
	o.Silence, o.AnswerTimeout = 2*time.Second, 2*time.Second
	o.Log = slog.New(slog.DiscardHandler)
	if os.Getenv("SPANCAST_VERBOSE") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("subscriber", name)
	}
	l := &listener{f: f, name: name, opt: o}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	f.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return l
}

// run runs the subscriber; one that is leaving again and again.
func (l *listener) run(ctx context.Context) {
	for ctx.Err() == nil {
		sub, err := subscriber.New(l.opt)
		if err != nil {
			l.f.t.Errorf("%s: %v", l.name, err)
			return
		}
		l.mu.Lock()
		l.sub = sub
		l.mu.Unlock()
		visit, leave := ctx, context.CancelFunc(func() {})
		if l.name == "leaving" {
			visit, leave = context.WithTimeout(ctx, time.Second)
		}
		err = sub.Run(visit, l.handle)
		leave()
		if err != nil {
			l.f.t.Errorf("%s: %v; %+v", l.name, err, sub.Stats())
			return
		}
	}
}

func (l *listener) handle(ctx context.Context, c *subscriber.Change) error {
	version, err := c.Version()
	if err != nil {
		return err
	}
	attributes, err := c.Attributes()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.got = append(l.got, &harness.Message{Topic: c.Topic, Header: c.Header, Version: version, Attributes: attributes, Body: c.Body})
	n := len(l.got)
	l.mu.Unlock()
	if l.name == "slow" && n%100 == 0 {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// until waits until everything up to a time was handled.
func (l *listener) until(last time.Time) {
	l.f.t.Helper()
	deadline := time.After(harness.Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		l.mu.Lock()
		s := l.sub.Stats()
		l.mu.Unlock()
		if s.Resolved.After(last) {
			l.f.t.Logf("%-18s %d changes, %d replayed, %d gaps of %d, %d duplicates, %d recoveries (the last took %s), %d failures, %d spills", l.name, s.Changes, s.Replayed, s.Gaps, s.Lost, s.Duplicates, s.Recoveries, s.Took.Round(time.Millisecond), s.Failures, s.Spills)
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			l.f.t.Fatalf("%s did not come to %s; %+v", l.name, last, s)
		}
	}
}

// check compares what was handed on with what was committed: each change once,
// those of a row in order.
func (l *listener) check() {
	l.f.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	got := make(map[string][]string)
	for _, m := range l.got {
		mods, err := m.Mods()
		if err != nil {
			l.f.t.Fatal(err)
		}
		row := m.Attributes.Table + " " + strings.NewReplacer(`{"Id":"`, "", `"}`, "").Replace(string(mods.Keys))
		got[row] = append(got[row], m.Version.CommitTimestamp+" "+strings.NewReplacer(`{"V":"`, "", `"}`, "").Replace(string(mods.New)))
	}
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	for row, want := range l.f.committed {
		want = slices.Sorted(slices.Values(want)) // by commit timestamp; two writers may have noted them in another order
		if topics := l.opt.Topics; len(topics) > 0 && !slices.ContainsFunc(topics, func(t string) bool { return strings.HasPrefix(t, row[:strings.IndexByte(row, ' ')]+"/") }) {
			want = nil
		}
		if !slices.Equal(got[row], want) {
			l.f.t.Errorf("%s: row %s: %s", l.name, row, difference(got[row], want))
		}
		delete(got, row)
	}
	if len(got) > 0 {
		l.f.t.Errorf("%s: rows that were never committed: %v", l.name, got)
	}
}

// difference says where two lists begin to differ.
func difference(got, want []string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d changes came of %d; from the %dth on\n%q\nand not\n%q", len(got), len(want), i, got[i:min(len(got), i+4)], want[i:min(len(want), i+4)])
}

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
