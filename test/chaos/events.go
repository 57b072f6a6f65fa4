package chaos

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
)

// An event is one thing that happens. It may leave replicas and faults behind;
// it returns false when it could not be made.
type event struct {
	name   string
	weight int
	do     func(a *Arena) bool
}

// everywhere are the events that need nothing special of Spanner.
func everywhere() []event {
	return []event{
		{"kill -9", 6, kill},
		{"kill -9 with messages under way", 6, crash},
		{"SIGTERM", 5, term},
		{"SIGSTOP for less than the lease", 4, pauseShort},
		{"SIGSTOP for longer than the lease", 4, pauseLong},
		{"join", 3, join},
		{"join without a subscriber, for longer than the lag", 2, joinHeld},
		{"metadata cut off for longer than the lease", 4, cutLong},
		{"metadata stalls", 3, cutShort},
		{"metadata connections break", 3, resetMeta},
		{"change stream stalls", 4, stallSource},
		{"change stream connections break", 4, resetSource},
	}
}

// onlyEmbedded are those that the embedded Spanner makes possible.
func onlyEmbedded() []event {
	return append(everywhere(),
		event{"split", 12, churn(emulator.Split)},
		event{"merge", 10, churn(emulator.Merge)},
		event{"move", 6, churn(emulator.Move)},
		event{"exchange of keys, where they move", 8, churn(emulator.Exchange)},
		event{"split or merge, and all others move", 4, churn(emulator.Step)},
		event{"queries fail", 6, failing},
		event{"queries end early, and partitions without child record", 6, early},
		event{"queries are silent", 3, silent},
		event{"slow frames", 3, slowFrames},
		event{"slow commits", 3, slowCommits},
		event{"aborted commits", 3, aborts},
		event{"aborted and slow lease commits", 4, slowLeases},
		event{"Spanner restarts", 3, func(a *Arena) bool { return restart(a, a.backend.server) }},
		event{"metadata Spanner restarts", 3, func(a *Arena) bool { return restart(a, a.backend.metaServer) }},
	)
}

// happen makes one event, and counts it.
func (a *Arena) happen(e event) {
	a.atLeast(2)
	if a.opt.Sharp {
		a.flow()
	}
	if e.do(a) {
		a.report.events[e.name]++
	}
}

// draw draws an event by weight.
func (a *Arena) draw(events []event) event {
	sum := 0
	for _, e := range events {
		sum += e.weight
	}
	n := a.random.IntN(sum)
	for _, e := range events {
		if n -= e.weight; n < 0 {
			return e
		}
	}
	return events[0]
}

// leave notes what a replica reads that is about to go.
func (a *Arena) leave(s *slot, how string) (note func(at time.Time)) {
	held := a.held(s)
	return func(at time.Time) {
		for _, p := range held {
			a.report.waiting = append(a.report.waiting, departure{how: how, at: at, partition: p.Token.Short(), epoch: p.Epoch})
		}
	}
}

func kill(a *Arena) bool {
	s := a.pick()
	note := a.leave(s, "kill -9")
	note(s.kill())
	a.maybeReplace()
	return true
}

// crash kills while messages are under way, and loses them: what was handed to
// the socket last never arrives. The lag covers that, as long as the stall is
// much shorter; on a machine that is too busy for that, nothing happens. A sharp
// one takes longer than it is from one saved position to the next, so that
// without the lag something is missing for sure.
func crash(a *Arena) bool {
	s := a.pick()
	note := a.leave(s, "kill -9") // may take its time
	stall := a.between(50*time.Millisecond, 400*time.Millisecond)
	if a.opt.Sharp {
		stall = a.opt.Lag * 3 / 8
	}
	stalled := time.Now()
	s.pub.Stall()
	a.rest(stall)
	if time.Since(stalled) > a.opt.Lag/2 {
		s.pub.Flow()
		return false
	}
	note(s.crash())
	a.maybeReplace()
	return true
}

func term(a *Arena) bool {
	s := a.pick()
	note := a.leave(s, "SIGTERM")
	at := time.Now()
	s.process.Stop()
	s.pub.Point("")
	s.running = nil
	note(at)
	a.maybeReplace()
	return true
}

// maybeReplace starts a replica after some time, or leaves that to others.
func (a *Arena) maybeReplace() {
	if a.random.IntN(2) == 0 {
		a.rest(a.between(0, a.opt.Lease))
	}
	if len(a.up()) < 3 {
		a.join().connect()
	}
}

func pauseShort(a *Arena) bool { return pause(a, a.between(50*time.Millisecond, a.opt.Lease/2)) }

func pauseLong(a *Arena) bool { return pause(a, a.between(a.opt.Lease*5/4, a.opt.Lease*2)) }

func pause(a *Arena, d time.Duration) bool {
	s := a.pick()
	s.pause()
	a.rest(d)
	s.wake()
	return true
}

func join(a *Arena) bool {
	s := a.join()
	if s == nil {
		return false
	}
	s.connect()
	return true
}

// joinHeld starts a replica that nobody can subscribe to yet. What it reads, it
// must hold back, and its positions with it; sometimes it dies of that.
func joinHeld(a *Arena) bool {
	s := a.join()
	if s == nil {
		return false
	}
	if a.random.IntN(2) == 0 {
		kill := a.pick() // so that there is something to take
		if kill != s {
			kill.kill()
		}
	}
	a.rest(a.opt.Lag + a.between(0, a.opt.Lease))
	if a.random.IntN(2) == 0 {
		s.kill()
	} else {
		s.connect()
	}
	return true
}

// cutLong cuts a replica off from the metadata tables, while its change stream
// flows: it has to stop by its own clock before another may begin.
func cutLong(a *Arena) bool {
	s := a.pick()
	s.meta.Stall()
	a.rest(a.between(a.opt.Lease*5/4, a.opt.Lease*2))
	s.meta.Flow()
	return true
}

func cutShort(a *Arena) bool {
	s := a.pick()
	s.meta.Stall()
	a.rest(a.between(50*time.Millisecond, a.opt.Lease/2))
	s.meta.Flow()
	return true
}

func resetMeta(a *Arena) bool {
	a.pick().meta.Cut()
	return true
}

func stallSource(a *Arena) bool {
	s := a.pick()
	s.source.Stall()
	a.rest(a.between(100*time.Millisecond, 2*time.Second))
	s.source.Flow()
	return true
}

func resetSource(a *Arena) bool {
	a.pick().source.Cut()
	return true
}

func churn(change emulator.Change) func(a *Arena) bool {
	return func(a *Arena) bool {
		ok, err := a.backend.churn(change)
		if err != nil {
			a.t.Errorf("%s: %v", change, err)
		}
		return ok
	}
}

func failing(a *Arena) bool {
	all := []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.ResourceExhausted}
	a.fault(a.backend.server, emulator.Faults{Fail: all[a.random.IntN(len(all))], FailAfter: a.random.IntN(8)}, a.between(100*time.Millisecond, time.Second))
	return true
}

// early lets partitions end while their child records are withheld, or, where
// they have none, lets queries end whatever they have sent: they end cleanly, and
// mean nothing.
func early(a *Arena) bool {
	faults := emulator.Faults{NoChildRecord: true}
	if a.opt.Kind.Mutable {
		faults = emulator.Faults{EndAfter: 1 + a.random.IntN(5), OneRowPerFrame: true}
	}
	a.fault(a.backend.server, faults, a.between(300*time.Millisecond, time.Second))
	for _, change := range []emulator.Change{emulator.Step, emulator.Split, emulator.Move}[:1+a.random.IntN(3)] {
		churn(change)(a)
	}
	return true
}

func silent(a *Arena) bool {
	a.fault(a.backend.server, emulator.Faults{Silent: true}, a.between(500*time.Millisecond, 3*time.Second))
	return true
}

func slowFrames(a *Arena) bool {
	a.fault(a.backend.server, emulator.Faults{FrameDelay: a.between(time.Millisecond, 30*time.Millisecond), OneRowPerFrame: true}, a.between(200*time.Millisecond, time.Second))
	return true
}

func slowCommits(a *Arena) bool {
	a.fault(a.backend.server, emulator.Faults{CommitDelay: a.between(10*time.Millisecond, 200*time.Millisecond)}, a.between(200*time.Millisecond, time.Second))
	return true
}

func aborts(a *Arena) bool {
	a.fault(a.backend.server, emulator.Faults{AbortEvery: 2 + a.random.IntN(3), SharedTimestamps: true}, a.between(200*time.Millisecond, time.Second))
	return true
}

func slowLeases(a *Arena) bool {
	a.fault(a.backend.metaServer, emulator.Faults{AbortEvery: 2 + a.random.IntN(3), CommitDelay: a.between(0, a.opt.Lease/3)}, a.between(a.opt.Lease/2, a.opt.Lease))
	return true
}

func restart(a *Arena, server *emulator.Server) bool {
	ctx, cancel := a.within(harness.Patience)
	defer cancel()
	if err := server.Restart(ctx); err != nil {
		a.t.Fatal(err)
	}
	return true
}
