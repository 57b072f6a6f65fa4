package subscriber

import (
	"testing"
	"time"
)

// A publisher that one hello has listed, and that ended before it was heard: the
// one that listed it has ended as well, and the one that is there now came later
// and has never seen it.
func TestMachine_OneThatWasListedAndNeverHeardIsMissed(t *testing.T) {
	w := live(t, 1)
	first := w.pubs[0]
	w.start("pub2")
	w.look(first) // says hello, and lists it
	for w.deliver("pub0") {
	}
	w.release(0)
	w.take(w.pubs[1], 0)
	w.put("A0", "A1")
	w.stop(w.pubs[1])
	w.connect("pub1")
	w.remove(first)
	w.expire()
	w.start("pub1")
	w.take(w.pubs[0], 0)
	for w.deliver("pub1") {
	}
	w.pubs = append(w.pubs, first) // its goodbye was on its way
	w.stop(first)
	for range 10 {
		w.run(t, time.Second)
	}
	w.whole()
}

// A publisher that came, published and ended between two looks of all others was
// never listed; that it was there is told afterwards.
func TestMachine_OneThatNobodyEverListedIsMissed(t *testing.T) {
	for _, broken := range []bool{false, true} {
		failed := false
		w := newWorld([]string{""}, 2, func(format string, args ...any) {
			failed = true
			if !broken {
				t.Fatalf(format, args...)
			}
		})
		w.breaks.noEnded = broken
		w.start("pub0")
		w.take(w.pubs[0], 0)
		w.subscribe(Position{})
		for range 4 {
			w.run(t, 300*time.Millisecond)
		}
		w.commit("A1", "UPDATE")
		w.ghost(1)
		w.take(w.pubs[0], 1)
		w.publish(0, -1)
		for range 10 {
			w.run(t, time.Second)
		}
		if w.whole(); failed != broken {
			t.Errorf("without telling of it (%t), it is missed: %t", broken, failed)
		}
	}
}

// A publisher that was given up, because it was silent and not listed, and is
// listed again, publishes: nothing is complete until it is heard.
func TestMachine_OneThatWasGivenUpAndIsListedAgainIsMissing(t *testing.T) {
	w := live(t, 2)
	late := w.pubs[0]
	hear := func() { // everybody but the first, whose messages are on their way for long
		w.now += instant(time.Second)
		w.look(w.pubs[1])
		w.resolveAll(w.pubs[1])
		w.m.tick(w.now)
		w.settle(-1)
		for w.deliver("pub1") || w.reply() {
		}
	}
	w.rows = []string{w.pubs[1].epoch}
	for range 20 {
		hear()
	}
	if w.m.fleet.publishers[late.epoch] != nil {
		t.Fatal("it was not given up")
	}
	w.save(late) // it is listed again
	w.put("A0")
	w.save(late)
	hear()
	hear()
	if w.m.complete > w.lastCommit() {
		t.Error("what it has published counts as complete, and was never heard")
	}
	w.run(t, time.Second)
	for range 10 {
		w.run(t, time.Second)
	}
	w.whole()
}
