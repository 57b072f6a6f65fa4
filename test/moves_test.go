package test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/test/harness"
)

// TestSubscriber_SeesAKeyInOrderThatMovesBetweenPublishers: a MUTABLE_KEY_RANGE
// stream with a partition at each of two replicas, which give each other their
// keys. What the first has published of them stands still on its way to the
// subscriber, so that what the second publishes comes before it.
func TestSubscriber_SeesAKeyInOrderThatMovesBetweenPublishers(t *testing.T) {
	t.Parallel()
	server := embedded(t, emulator.Options{Partitions: 1})
	s := newMutableShop(t, server.Addr(), databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
	s.env["SPANCAST_MAX_PARTITIONS"], s.env["SPANCAST_CHECKPOINT_LAG"], s.env["SPANCAST_LEASE"], s.env["SPANCAST_RESOLVED_INTERVAL"] = "1", "500ms", "5s", "200ms"
	var proxies []*harness.Proxy
	var replicas []*harness.Replica
	for range 2 {
		proxy := harness.NewProxy(t, 1, 1<<40)
		r := harness.Serve(t, s.with("SPANCAST_ADVERTISE", proxy.Endpoint()))
		proxy.To(r.Endpoint)
		proxies, replicas = append(proxies, proxy), append(replicas, r)
	}
	near := harness.Subscribe(t, []string{replicas[0].Endpoint, replicas[1].Endpoint}, "")
	near.Reading()
	for id := range 10 {
		s.commit(id, "Orders")
	}
	if err := server.Churn(s.Name, shopStream, emulator.Split, ""); err != nil {
		t.Fatal(err)
	}
	far := &listener{f: &stormy{shop: s}, name: "far"}
	began := s.commit(0, "Orders")
	run(t, far, subscriber.Options{Connect: []string{proxies[0].Endpoint(), proxies[1].Endpoint()}, Since: began, Silence: time.Minute})
	s.committed = map[string][]string{"Orders 0": s.committed["Orders 0"][1:]}
	round := func() time.Time {
		var last time.Time
		for id := range 10 {
			last = s.commit(id, "Orders")
		}
		return last
	}
	published := func(last time.Time) {
		near.Until("all is published", func(all []*harness.Message) bool { return fleetResolved(all).After(last) })
	}
	last := round()
	published(last)
	far.until(last)
	for i := range 2 {
		proxies[i].Stall()
		published(round())
		if err := server.Churn(s.Name, shopStream, emulator.Exchange, ""); err != nil {
			t.Fatal(err)
		}
		last = round()
		published(last)
		proxies[i].Resume()
	}
	last = s.commit(0, "Orders", "Users")
	far.until(last)
	far.check()
	for _, r := range replicas {
		r.Stop()
	}
}

// run runs a listener's subscriber until the test ends.
func run(t *testing.T, l *listener, o subscriber.Options) {
	t.Helper()
	o.OnGap = func(g subscriber.Gap) error { return errors.New(g.String()) }
	o.Log = slog.New(slog.DiscardHandler)
	var err error
	if l.sub, err = subscriber.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.sub.Run(ctx, l.handle); err != nil {
			t.Errorf("%s: %v", l.name, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}
