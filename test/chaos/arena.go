package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// Options choose how an Arena runs.
type Options struct {
	Google  bool   // on Google's emulator instead of two embedded Spanners
	Kind    Kind   // of the database and the change stream
	Seed    uint64 // of everything that is drawn
	Writers int
	Pause   time.Duration // between two transactions of a writer
	Lease   time.Duration
	Lag     time.Duration // CHECKPOINT_LAG
	Env     map[string]string
	// Sharp lets events befall the replica that reads most, always, and when
	// all that was committed before has been published.
	Sharp bool
}

// An Arena is replicas on a change stream, with all that can befall them.
// Its methods are for the goroutine of the test.
type Arena struct {
	t       testing.TB
	opt     Options
	random  *rand.Rand
	backend *backend
	slots   []*slot
	all     []*journal // of every process that ever ran
	sub     *subscriber
	load    *workload
	watch   *watch
	checker *checker
	report  report

	stopLoad func()
	faulty   chan struct{} // closed when faults that were set have ended
}

// NewArena starts Spanner, the links and the subscriber, and no replica yet.
func NewArena(t testing.TB, o Options) *Arena {
	t.Helper()
	a := &Arena{t: t, opt: o, random: rand.New(rand.NewPCG(o.Seed, 0)), checker: newChecker(), report: newReport(), faulty: make(chan struct{}), stopLoad: func() {}}
	close(a.faulty)
	t.Logf("seed %d, %s", o.Seed, o.Kind)
	if o.Google {
		a.backend = onGoogle(t, o.Kind)
	} else {
		a.backend = embedded(t, o.Kind)
	}
	for n := range slots {
		a.slots = append(a.slots, newSlot(t, n, a.backend.source, a.backend.meta))
	}
	a.sub = newSubscriber(t, a.slots)
	a.load = &workload{client: a.backend.db.Client, errors: make(map[string]int)}
	a.watch = newWatch(a.backend.store)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		a.watch.run(stop)
	}()
	t.Cleanup(func() {
		a.stopLoad()
		close(stop)
		<-done
	})
	return a
}

// env is the environment of replicas.
func (a *Arena) env() map[string]string {
	env := a.backend.env()
	env["SPANCAST_LEASE"], env["SPANCAST_CHECKPOINT_LAG"] = a.opt.Lease.String(), a.opt.Lag.String()
	env["SPANCAST_RESOLVED_INTERVAL"], env["SPANCAST_QUERY_WINDOW"] = "200ms", "3s"
	for k, v := range a.opt.Env {
		env[k] = v
	}
	return env
}

// begin starts the workload.
func (a *Arena) begin(seed uint64) {
	stop := make(chan struct{})
	wait := a.load.run(seed, a.opt.Writers, a.opt.Pause, stop)
	a.stopLoad = func() {
		close(stop)
		wait()
		a.stopLoad = func() {}
	}
}

// rest lets time pass.
func (a *Arena) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// between draws a time.
func (a *Arena) between(low, high time.Duration) time.Duration {
	return low + time.Duration(a.random.Int64N(int64(high-low)+1))
}

// up lists the slots with a replica.
func (a *Arena) up() (out []*slot) {
	for _, s := range a.slots {
		if s.running != nil {
			out = append(out, s)
		}
	}
	return out
}

// pick draws a replica: three times of four the one that reads most, since most
// is to be seen there.
func (a *Arena) pick() *slot {
	up := a.up()
	drawn, most := up[a.random.IntN(len(up))], 0
	if !a.opt.Sharp && a.random.IntN(4) == 0 {
		return drawn
	}
	for _, s := range up {
		if n := len(a.held(s)); n > most {
			drawn, most = s, n
		}
	}
	return drawn
}

// join starts a replica in a free slot; nil when there is none. Spanner has to
// be well for that.
func (a *Arena) join() *slot {
	a.calm()
	for _, s := range a.slots {
		if s.running == nil {
			s.start(a.t, a.env())
			a.all = append(a.all, s.journal)
			return s
		}
	}
	return nil
}

// atLeast starts replicas until there are so many.
func (a *Arena) atLeast(n int) {
	for len(a.up()) < n {
		a.join().connect()
	}
}

// within is a context for a call of the test's own.
func (a *Arena) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// fault sets faults for a time, in the background.
func (a *Arena) fault(server *emulator.Server, f emulator.Faults, d time.Duration) {
	a.calm()
	a.faulty = make(chan struct{})
	server.SetFaults(f)
	go func(ended chan struct{}) {
		defer close(ended)
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C
		server.SetFaults(emulator.Faults{})
	}(a.faulty)
}

// calm waits for the end of faults.
func (a *Arena) calm() { <-a.faulty }

// held lists the partitions that a replica reads.
func (a *Arena) held(s *slot) (out []changestream.Partition) {
	id, _ := s.journal.name()
	view, err := a.watch.look()
	if err != nil {
		return nil
	}
	for _, p := range view.Partitions {
		if p.Owner == id && p.State == changestream.Running && p.End.IsZero() {
			out = append(out, p)
		}
	}
	return out
}

// settle ends the workload and all trouble, and waits until everything that was
// committed has been published and every replica takes part again. What keeps it
// from doing so, complete will say.
func (a *Arena) settle() {
	a.t.Helper()
	a.calm()
	a.stopLoad()
	for _, s := range a.up() {
		s.source.Flow()
		s.meta.Flow()
		s.pub.Flow()
		s.wake()
	}
	a.atLeast(3)
	a.drain()
	if missing := a.load.pending(a.sub.has); len(missing) > 0 {
		for _, said := range a.testify(missing) {
			a.t.Log(said)
		}
	}
	a.until("every replica to take part", func() bool {
		view, err := a.watch.look()
		fresh := map[string]bool{}
		for _, r := range view.Replicas {
			fresh[r.ID] = view.Now.Sub(r.LastSeen) < a.opt.Lease
		}
		for _, s := range a.up() {
			if id, _ := s.journal.name(); !fresh[id] {
				return false
			}
		}
		return err == nil
	})
}

// drain waits until everything that was committed has been published, as long as
// that goes on.
func (a *Arena) drain() {
	a.t.Helper()
	for before := -1; ; {
		n := len(a.load.pending(a.sub.has))
		if n == 0 || n == before {
			return
		}
		before = n
		deadline := time.Now().Add(harness.Patience)
		a.wait(func() bool { return len(a.load.pending(a.sub.has)) == 0 || time.Now().After(deadline) })
	}
}

// flow waits until changes are published as they are committed.
func (a *Arena) flow() {
	a.t.Helper()
	a.calm()
	a.until("changes to be published as they are committed", func() bool { return len(a.load.pending(a.sub.has)) < 50 })
}

// until waits for a condition, and complains if it does not come.
func (a *Arena) until(what string, f func() bool) {
	a.t.Helper()
	deadline := time.Now().Add(harness.Patience)
	met := false
	a.wait(func() bool { met = f(); return met || time.Now().After(deadline) })
	if !met {
		a.t.Errorf("waited %s for %s", harness.Patience, what)
	}
}

// wait asks again and again until f says that it is enough.
func (a *Arena) wait(f func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		<-tick.C
	}
}

// judge compares what was committed, published and stored since the last time.
func (a *Arena) judge() {
	a.t.Helper()
	a.checker.commit(a.load.take())
	came, errs := a.sub.take()
	for _, err := range errs {
		a.t.Error(err)
	}
	a.checker.publish(a.sightings(came))
	a.checker.complete()
	a.report.failovers(a.all)
	for _, fault := range append(a.checker.faults, a.watch.found()...) {
		a.t.Error(fault)
	}
	for _, j := range a.all {
		j.forget()
	}
	if a.t.Failed() {
		a.t.Logf("seed %d, %s", a.opt.Seed, a.opt.Kind)
		a.t.Log(a.summary())
		a.t.FailNow()
	}
}

// sightings finds the log line of each publication.
func (a *Arena) sightings(came []publication) []sighting {
	journals := make(map[string]*journal)
	for _, j := range a.all {
		_, epoch := j.name()
		journals[epoch] = j
	}
	out := make([]sighting, 0, len(came))
	for _, p := range came {
		s := sighting{publication: p, publisher: p.epoch}
		j, found := journals[p.epoch], false
		if j != nil {
			a.until("the log of "+p.epoch, func() bool { s.act, found = j.act(p.counter); return found })
		}
		if !found {
			a.t.Errorf("message %d of %s, %s, is in nobody's log", p.counter, p.epoch, p.version)
			continue
		}
		out = append(out, s)
	}
	return out
}

// republished is when a partition was published first after an epoch.
func (a *Arena) republished(partition string, after int64) (time.Time, bool) {
	return firstOf(a.all, partition, after)
}

// summary tells what happened.
func (a *Arena) summary() string {
	c := a.checker
	var out strings.Builder
	fmt.Fprintf(&out, "%d changes committed (commits that had to be looked up: %v), %d messages, %d of them duplicates (%d from owners whose time was over); %d looks at the positions\n",
		c.Committed, a.load.errors, c.Published, c.Duplicates, c.Late, a.watch.looks)
	fenced, lost := 0, 0
	for _, j := range a.all {
		fenced, lost = fenced+j.fenced, lost+j.lost
	}
	fmt.Fprintf(&out, "%d replicas, %d batches fenced, %d leases lost\n", len(a.all), fenced, lost)
	out.WriteString(a.report.String())
	return out.String()
}
