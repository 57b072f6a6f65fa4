package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/test/harness"
)

// A listener is one subscriber, and what it was handed.
type listener struct {
	f    *stormy
	name string
	opt  subscriber.Options

	mu   sync.Mutex
	got  []*harness.Message
	sub  *subscriber.Subscriber
	gate chan struct{} // nothing is handled until it is closed; nil is open

	counted, matched int // of handled
}

// stall lets it handle nothing until it is resumed.
func (l *listener) stall() (resume func()) {
	gate := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = gate
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.gate = nil
		close(gate)
	}
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
	first, err := subscriber.New(o)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	l := &listener{f: f, name: name, opt: o, sub: first}
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
		visit, leave := ctx, context.CancelFunc(func() {})
		if l.name == "leaving" {
			visit, leave = context.WithTimeout(ctx, time.Second)
		}
		err := l.sub.Run(visit, l.handle)
		leave()
		if err != nil {
			l.f.t.Errorf("%s: %v; %+v", l.name, err, l.sub.Stats())
			return
		}
		next, err := subscriber.New(l.opt)
		if err != nil {
			l.f.t.Errorf("%s: %v", l.name, err)
			return
		}
		l.mu.Lock()
		l.sub = next
		l.mu.Unlock()
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
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
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

// handled waits until so many changes of a topic were handled.
func (l *listener) handled(topic string, n int) {
	l.f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(harness.Patience); ; <-tick.C {
		l.mu.Lock()
		for ; l.counted < len(l.got); l.counted++ {
			if strings.HasPrefix(l.got[l.counted].Topic, topic) {
				l.matched++
			}
		}
		matched, s := l.matched, l.sub.Stats()
		l.mu.Unlock()
		if matched >= n {
			return
		}
		if time.Now().After(deadline) {
			l.f.t.Fatalf("%s has handled %d changes of %d; %+v", l.name, matched, n, s)
		}
	}
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
		row, change := l.f.read(m)
		got[row] = append(got[row], change)
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
