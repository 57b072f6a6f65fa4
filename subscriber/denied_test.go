package subscriber

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/spancast/spancast/message"
)

// lonely is a world whose recovery endpoint is of no use to the subscriber.
func lonely(t *testing.T, change func(*world)) *world {
	w := newWorld([]string{""}, 1, t.Fatalf)
	w.forgiving = true
	w.start("pub0")
	w.take(w.pubs[0], 0)
	change(w)
	return w
}

// begin starts the subscriber, and lets it do what it can.
func (w *world) begin(t *testing.T, from Position) {
	t.Helper()
	w.subscribe(from)
	for range 4 {
		w.run(t, 300*time.Millisecond)
	}
}

// loses publishes three changes, of which the first two never come, and lets
// everything come to rest.
func (w *world) loses(t *testing.T, keys ...string) {
	t.Helper()
	w.put(keys[0], keys[1])
	w.pipes["pub0"].queue = nil
	w.put(keys[2])
	w.run(t, time.Millisecond)
	w.run(t, time.Millisecond)
}

// An identity without grants is live at once; what it loses is told at once, and
// does not hold up what comes behind.
func TestMachine_WhoMayNotRecoverGoesLiveAndIsTold(t *testing.T) {
	w := lonely(t, func(w *world) { w.denies = true })
	w.begin(t, Position{})
	if s := w.m.state(); !s.Live || !s.Unrecoverable || len(w.gaps) > 0 || w.err != nil || s.Requests != 1 {
		t.Fatalf("%+v, gaps %v, error %v", s, w.gaps, w.err)
	}
	w.loses(t, "A0", "A1", "A2")
	if s := w.m.state(); !s.Live || s.Changes != 1 || len(w.gaps) != 1 || w.gaps[0].Lost != 2 || w.gaps[0].Cause != Unrecovered || s.Requests != 1 {
		t.Errorf("%+v, gaps %v", s, w.gaps)
	}
	// After a while it may have been granted.
	w.denies = false
	for range 61 {
		w.run(t, time.Second)
	}
	w.loses(t, "A3", "A4", "A5")
	if s := w.m.state(); !s.Live || s.Unrecoverable || s.Replayed < 2 || len(w.gaps) != 1 {
		t.Errorf("%+v, gaps %v", s, w.gaps)
	}
}

// A recovery endpoint that lets the identity not even in says nothing.
func TestMachine_WhomNobodyHasEverAnsweredGoesLiveSoon(t *testing.T) {
	w := lonely(t, func(w *world) { w.mute = true })
	w.subscribe(Position{})
	took := time.Duration(0)
	for ; !w.m.state().Live && took < time.Minute; took += 500 * time.Millisecond {
		w.run(t, 500*time.Millisecond)
	}
	if s := w.m.state(); took > 8*time.Second || !s.Unrecoverable || len(w.gaps) > 0 {
		t.Fatalf("after %s: %+v, gaps %v", took, s, w.gaps)
	}
	w.loses(t, "A0", "A1", "A2")
	if s := w.m.state(); !s.Live || s.Changes != 1 || len(w.gaps) != 1 || w.gaps[0].Lost != 2 {
		t.Errorf("%+v, gaps %v", s, w.gaps)
	}
	// A publisher that is killed may have published more: that is told, too.
	w.kill(w.pubs[0], 0)
	w.start("pub0")
	w.take(w.pubs[0], 0)
	w.greet("pub0")
	for range 20 {
		w.run(t, time.Second)
	}
	if len(w.gaps) != 2 || w.gaps[1].Lost != 0 {
		t.Errorf("gaps %v", w.gaps)
	}
}

// Who has got answers waits for them when they fail to come: the service is
// there, and will be again.
func TestMachine_WhoWasAnsweredWaitsForAnswers(t *testing.T) {
	w := lonely(t, func(*world) {})
	w.begin(t, Position{})
	w.mute = true
	w.loses(t, "A0", "A1", "A2")
	for range 30 {
		w.run(t, time.Second)
	}
	if s := w.m.state(); s.Live || len(w.gaps) > 0 {
		t.Fatalf("%+v, gaps %v", s, w.gaps)
	}
	w.mute = false
	for range 5 {
		w.run(t, time.Second)
	}
	if s := w.m.state(); !s.Live || s.Replayed != 3 || len(w.gaps) > 0 {
		t.Errorf("%+v, gaps %v", s, w.gaps)
	}
}

// Answers that begin and break off are no answers: they are asked for less and
// less often, and not for ever.
func TestMachine_WhomAnswersFailAgainAndAgainGoesOn(t *testing.T) {
	w := lonely(t, func(*world) {})
	w.begin(t, Position{})
	before := requests(w)
	w.stutters = true
	w.loses(t, "A0", "A1", "A2")
	for range 600 {
		w.run(t, 100*time.Millisecond)
	}
	if n := requests(w) - before; n < 10 || n > 60 {
		t.Errorf("%d requests in a minute", n)
	}
	for range 10 {
		w.run(t, time.Second)
	}
	if s := w.m.state(); !s.Live || len(w.gaps) != 1 || w.gaps[0].Cause != Unrecovered || w.gaps[0].Lost != 2 {
		t.Errorf("%+v, gaps %v", s, w.gaps)
	}
}

// A snapshot that was interrupted for so long that its timestamp is gone begins
// anew: nothing is a gap, and nothing is asked for over and over.
func TestMachine_ASnapshotThatIsTooOldBeginsAnew(t *testing.T) {
	w := lonely(t, func(w *world) { w.mute, w.opt.snapshot = true, true })
	w.begin(t, Position{})
	s := &w.m.session
	if !s.active || !s.snapshot {
		t.Fatalf("%+v", s)
	}
	s.at, s.after = "2026-11-20T09:54:00.000000000Z", "2026-11-20T09:54:00.000000000Z/$read.Orders/WzFd/0"
	text, _ := json.Marshal(message.GoneBody{From: s.at, Oldest: "2026-11-20T10:54:00.000000000Z"})
	before := requests(w)
	w.m.answer([]byte(s.id), []byte(message.Gone), []byte(message.ControlVersion(w.clock.time())+" 0 0 {}"), text, w.now)
	w.run(t, time.Second)
	if !s.snapshot || s.at != "" || s.after != "" || len(w.gaps) > 0 || requests(w) != before+1 {
		t.Errorf("%+v, gaps %v, %d requests", s, w.gaps, requests(w)-before)
	}
}

// What was asked for by name and is denied ends it; a cursor's position does not:
// its owner is told what is missing.
func TestMachine_DeniedFromTheStart(t *testing.T) {
	from := Position{Complete: worldStart.time()}
	w := lonely(t, func(w *world) { w.denies = true })
	w.begin(t, from)
	if !errors.Is(w.err, ErrRefused) {
		t.Errorf("Since is denied: %v", w.err)
	}
	w = lonely(t, func(w *world) { w.denies, w.opt.resumed = true, true })
	w.begin(t, from)
	if s := w.m.state(); w.err != nil || !s.Live || len(w.gaps) != 1 || !w.gaps[0].From.Equal(from.Complete) {
		t.Errorf("a cursor's position is denied: %+v, gaps %v, %v", s, w.gaps, w.err)
	}
}

// Without replays the versions that are remembered are bounded all the same.
func TestMachine_WhoMayNotRecoverRemembersNoMoreThanTheLimit(t *testing.T) {
	w := lonely(t, func(w *world) { w.denies = true })
	w.begin(t, Position{})
	for range 5 * w.opt.remember { // and nothing is resolved
		w.put("A0")
		for w.deliver("pub0") {
		}
	}
	if s := w.m.state(); s.Remembered > w.opt.remember || s.Changes != uint64(5*w.opt.remember) {
		t.Errorf("%+v", s)
	}
}
