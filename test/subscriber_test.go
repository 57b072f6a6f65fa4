package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/emulator"
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
	if text := os.Getenv("STORM_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	t.Logf("STORM_SEED=%d", seed)
	f := newFleet(t, seed, 100_000)
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
	env    []string // of replicas, besides
}

type place struct {
	publish, recover *harness.Proxy
	replica          *harness.Replica
}

// newFleet starts one. Connections live for so many bytes, and twice as many to
// the publishers; 0: for ever.
func newFleet(t *testing.T, seed uint64, mean int, env ...string) *stormy {
	server := embedded(t, emulator.Options{MinHeartbeat: 50 * time.Millisecond, ChurnEvery: 700 * time.Millisecond, Partitions: 4})
	f := &stormy{shop: newShopIn(t, server.Addr(), databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, bulk), server: server, random: rand.New(rand.NewPCG(seed, 99)), env: env}
	for i := range f.places {
		f.places[i] = &place{publish: harness.NewProxy(t, seed+uint64(i), 2*mean), recover: harness.NewProxy(t, seed+10+uint64(i), mean)}
		f.start(f.places[i])
	}
	return f
}

func (f *stormy) start(p *place) {
	p.replica = harness.Serve(f.t, f.with(append([]string{"SPANCAST_LEASE", "1s", "SPANCAST_MAX_PARTITIONS", "4", "SPANCAST_ADVERTISE", p.publish.Endpoint()}, f.env...)...))
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
