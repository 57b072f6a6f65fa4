package subscriber

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// live is a world of one or two replicas with one partition, whose first has it,
// and a subscriber to everything that is live.
func live(t *testing.T, replicas int) *world {
	w := newWorld([]string{""}, 1, t.Fatalf)
	for i := range replicas {
		w.start([]string{"pub0", "pub1"}[i])
	}
	w.take(w.pubs[0], 0)
	w.subscribe(Position{})
	w.settled(t)
	return w
}

// settled lets the subscriber become live.
func (w *world) settled(t *testing.T) {
	t.Helper()
	for range 4 {
		w.run(t, 300*time.Millisecond)
	}
	if w.m.mode != flowing {
		t.Fatalf("mode %d", w.m.mode)
	}
}

// run lets time pass, and everything arrive.
func (w *world) run(t *testing.T, d time.Duration) {
	t.Helper()
	w.now += instant(d)
	for _, p := range w.pubs {
		w.look(p)
		w.resolveAll(p)
	}
	w.m.tick(w.now)
	w.settle(-1)
	for _, endpoint := range []string{"pub0", "pub1", "pub2"} {
		for w.deliver(endpoint) {
		}
	}
	for w.reply() {
	}
}

func (w *world) put(keys ...string) {
	for _, k := range keys {
		w.commit(k, "UPDATE")
	}
	w.publish(0, -1)
}

func requests(w *world) uint64 { return w.m.state().Requests }

func TestMachine_ALostLastMessageIsNoticedByTheNextResolved(t *testing.T) {
	w := live(t, 1)
	w.put("A0", "A1")
	w.pipes["pub0"].queue = nil
	before := requests(w)
	w.run(t, time.Millisecond)
	if s := w.m.state(); s.Gaps != 1 || s.Lost != 2 || s.Replayed != 2 || requests(w) != before+1 || !s.Live {
		t.Errorf("%+v", s)
	}
	w.whole()
}

func TestMachine_AGoodbyeWithoutLossNeedsNoReplay(t *testing.T) {
	w := live(t, 2)
	before := requests(w)
	w.put("A0")
	w.stop(w.pubs[0])
	w.run(t, time.Millisecond)
	if s := w.m.state(); requests(w) != before || s.Publishers != 1 || s.Changes != 1 {
		t.Errorf("%d requests, %+v", requests(w)-before, s)
	}
}

func TestMachine_MovedPartitionWaitsForWhatIsStillOnItsWay(t *testing.T) {
	w := live(t, 2)
	w.put("A0") // waits in the pipe of the first
	w.release(0)
	w.take(w.pubs[1], 0)
	w.put("A0") // in the pipe of the second
	w.holdsBack(t, "pub1")
}

// A key moves to a partition of another publisher, which lives on, as the one
// that the key came from does: what that one has published is still on its way.
func TestMachine_AKeyThatMovedWaitsForWhatIsStillOnItsWay(t *testing.T) {
	w := newWorld([]string{""}, 2, t.Fatalf)
	w.start("pub0")
	w.start("pub1")
	w.take(w.pubs[0], 0)
	w.take(w.pubs[1], 1)
	w.subscribe(Position{})
	w.settled(t)
	w.put("A0") // waits in the pipe of the first
	w.move("A0", 1)
	w.commit("A0", "UPDATE")
	w.publish(1, -1) // waits for the first
	if len(w.pipes["pub1"].queue) > 0 {
		t.Fatal("the other one went on before it may")
	}
	w.publish(0, -1)
	w.save(w.pubs[0])
	w.publish(1, -1)
	w.holdsBack(t, "pub1")
}

// holdsBack delivers a change that waits for one of another publisher; and at last
// both.
func (w *world) holdsBack(t *testing.T, endpoint string) {
	t.Helper()
	w.deliverChange(t, endpoint)
	if n := w.m.state().Changes; n != 0 {
		t.Fatalf("%d changes were handed on before the one that came first", n)
	}
	for w.reply() {
	}
	w.run(t, time.Millisecond)
	w.whole()
}

// deliverChange delivers up to the first change in a pipe.
func (w *world) deliverChange(t *testing.T, endpoint string) {
	t.Helper()
	for _, f := range w.pipes[endpoint].queue {
		w.deliver(endpoint)
		if !strings.Contains(f[0], "$") {
			return
		}
	}
	t.Fatal("there is none")
}

func TestMachine_NoMoreIsHeldThanTheLimit(t *testing.T) {
	w := live(t, 1)
	w.put("A0")
	w.pipes["pub0"].queue = nil
	w.put("A0")
	w.deliverChange(t, "pub0") // the replay is asked for, and not answered
	for range 1000 {
		w.put("A0")
		for w.deliver("pub0") {
		}
		if w.m.held.bytes > w.opt.hold {
			t.Fatalf("%d bytes are held", w.m.held.bytes)
		}
	}
	for range 5 {
		w.run(t, time.Millisecond)
	}
	if s := w.m.state(); s.Spills == 0 || s.Changes != 1002 || !s.Live {
		t.Errorf("%+v", s)
	}
}

func TestMachine_NoMoreIsRememberedThanTheLimit(t *testing.T) {
	w := live(t, 1)
	for range 20 * w.opt.remember { // and nothing is resolved
		w.put("A0")
		for w.deliver("pub0") {
		}
		for w.reply() {
		}
		if w.m.seen.count > w.opt.remember+1 {
			t.Fatalf("%d versions are remembered", w.m.seen.count)
		}
	}
	w.whole()
}

func TestMachine_ASecondPathToAPublisherIsNoLoss(t *testing.T) {
	w := live(t, 1)
	before := requests(w)
	w.put("A0", "A1", "A2")
	first := w.pipes["pub0"].queue
	w.pipes["pub0"].queue = append(append([][3]string{}, first...), first...)
	w.run(t, time.Millisecond)
	if s := w.m.state(); s.Changes != 3 || s.Duplicates != 3 || s.Gaps != 0 || requests(w) != before {
		t.Errorf("%+v", s)
	}
}

func TestMachine_WithoutARecoveryEndpointAGapIsTold(t *testing.T) {
	w := newWorld([]string{""}, 1, t.Fatalf)
	w.opt.recover = nil
	w.start("pub0")
	w.take(w.pubs[0], 0)
	w.subscribe(Position{})
	w.run(t, time.Second)
	w.run(t, time.Second)
	w.put("A0", "A1")
	w.pipes["pub0"].queue = nil
	w.put("A2")
	f := w.pipes["pub0"].queue
	for _, m := range f {
		w.m.live([]byte(m[0]), []byte(m[1]), []byte(m[2]), w.now)
	}
	if c := w.m.next(w.now); c == nil || string(c.Body) != "A2" {
		t.Errorf("%+v is handed on, want what came behind the gap", c)
	}
	if e := w.m.take(); len(e.gaps) != 1 || e.gaps[0].Lost != 2 || e.gaps[0].Cause != Unrecovered {
		t.Errorf("gaps %v", e.gaps)
	}
}

// Between the end of the only replica and the hello of the next, no recovery
// endpoint is known: that is no reason to give anything up.
func TestMachine_RecoveryEndpointsThatAreKnownNoMoreComeBack(t *testing.T) {
	w := newWorld([]string{""}, 1, t.Fatalf)
	w.opt.recover, w.recover = nil, []string{"rec"}
	w.start("pub0")
	w.take(w.pubs[0], 0)
	w.subscribe(Position{})
	for range 4 {
		w.run(t, 300*time.Millisecond)
	}
	w.put("A0", "A1")
	w.stop(w.pubs[0])
	all := w.pipes["pub0"].queue
	w.pipes["pub0"].queue = all[len(all)-1:] // the goodbye alone
	w.run(t, time.Second)
	w.start("pub0")
	w.take(w.pubs[0], 0)
	for range 40 {
		w.run(t, time.Second)
	}
	w.whole()
}

func TestMachine_LevelsOfRowDataAreRefused(t *testing.T) {
	w := newWorld([]string{"A/0/1/"}, 1, t.Fatalf)
	w.start("pub0")
	w.m = newMachine(w.opt, Position{}, discard)
	w.m.live([]byte("A/0/1/"), []byte(worldStart.String()+`/tx/0/0 0000000000000001 1/1 {}`), nil, 0)
	if e := w.m.take(); e.err == nil || !strings.Contains(e.err.Error(), "use Follow") {
		t.Errorf("error %v", e.err)
	}
}

func TestLevels_CommonLevelOfTopicsThatBeginAlike(t *testing.T) {
	for topics, want := range map[string]string{
		"Orders/": "Orders/", "Orders/INSERT/ Orders/UPDATE/": "Orders/", "Orders/UPDATE/ Users/": "Orders/UPDATE/ Users/", "a/b/c/ a/b/d/ x/": "a/b/ x/", "a/ ab/": "a/ ab/",
	} {
		levels, err := levelsOf(strings.Fields(topics))
		var got []string
		for _, l := range levels {
			got = append(got, l.prefix)
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s: %q, %v", topics, got, err)
		}
	}
	if levels, _ := levelsOf([]string{"a/", "", "b/"}); len(levels) != 1 || levels[0].prefix != "" {
		t.Errorf("%+v", levels)
	}
	if _, err := levelsOf([]string{"Orders"}); err == nil {
		t.Error("Orders would match OrdersArchive/")
	}
}

func TestSeen_IsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model, at := newSeen(), map[uint64]stamp{}, stamp(1)
		hash := rapid.Uint64Range(0, 5000)
		for range rapid.IntRange(1, 6000).Draw(t, "adds") {
			h := hash.Draw(t, "hash") << 50 // many collisions
			if at++; s.has(h) != (model[h] != 0) && h != 0 && h != 1 {
				t.Fatalf("%x: %t", h, s.has(h))
			}
			if !s.has(h) {
				s.add(h, at)
				model[h] = at
			}
			if at%97 == 0 {
				s.evict(at - 50)
				for h, was := range model {
					if was < at-50 {
						delete(model, h)
					}
				}
			}
		}
		if s.count != len(model) {
			t.Fatalf("%d, want %d", s.count, len(model))
		}
	})
}

func TestPosition_ComesBackAsItWas(t *testing.T) {
	p := Position{Complete: time.Date(2026, 11, 20, 9, 54, 0, 123456000, time.UTC), latest: worldStart + 99, hashes: []uint64{1, 1 << 63, 7}}
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Position
	if err := back.UnmarshalText(append(text, '\n')); err != nil || !back.Complete.Equal(p.Complete) || back.latest != p.latest || len(back.hashes) != 3 || back.hashes[1] != 1<<63 {
		t.Errorf("%s becomes %+v, %v", text, back, err)
	}
	for _, bad := range []string{"", "yesterday", "2026-11-20T09:54:00.123456000Z x", "2026-11-20T09:54:00.123456000Z 2026-11-20T09:54:00.123456000Z !", "2026-11-20T09:54:00.123456000Z 2026-11-20T09:54:00.123456000Z AAAA"} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a position", bad)
		}
	}
}

func TestFileCursor_KeepsThePosition(t *testing.T) {
	f := FileCursor(t.TempDir() + "/cursor")
	if p, err := f.Load(t.Context()); err != nil || !p.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	for i := range 3 {
		want := Position{Complete: worldStart.time().Add(time.Duration(i))}
		if err := f.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if p, err := f.Load(t.Context()); err != nil || !p.Complete.Equal(want.Complete) {
			t.Errorf("%+v, %v", p, err)
		}
	}
}

// A listed publisher can be where the user's own connection goes. When it ends,
// the next one is expected there.
func TestMachine_TheUsersConnectionsAreKept(t *testing.T) {
	w := live(t, 1)
	w.pipes["pub0"].cut = true
	w.kill(w.pubs[0], 0)
	w.start("pub0") // it is listed by the other before it is heard
	w.connect("pub1")
	w.start("pub1")
	for range 40 {
		w.run(t, time.Second)
		w.expire()
	}
	if w.pipes["pub0"] == nil {
		t.Fatal("the connection that the user asked for is gone")
	}
	w.pipes["pub0"].cut = false
	w.greet("pub0")
	for range 4 {
		w.run(t, time.Second)
	}
	for _, p := range w.pubs {
		if w.m.fleet.publishers[p.epoch] == nil {
			t.Errorf("the publisher at %s is not heard", p.endpoint)
		}
	}
	w.kill(w.pubs[0], 0)
	for range 40 {
		w.expire()
		w.run(t, time.Second)
	}
	if w.pipes["pub0"] == nil {
		t.Error("the connection that the user asked for is gone")
	}
}
