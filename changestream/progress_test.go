package changestream

import (
	"testing"
	"time"
)

func TestProgress_ALeaseThatWasSeenToEndIsNotRevived(t *testing.T) {
	p := NewProgress(epochStart)
	p.Lease(time.Now().Add(time.Hour))
	if !p.Alive() || p.Over() {
		t.Error("a fresh lease counts as over")
	}
	p.Lease(time.Now().Add(-time.Millisecond))
	if p.Over() {
		t.Error("nobody has seen it end")
	}
	if p.Alive() || !p.Over() {
		t.Error("a lease that has ended counts")
	}
	p.Lease(time.Now().Add(time.Hour))
	if p.Alive() || !p.Over() {
		t.Error("something may have been thrown away; what follows must not be published")
	}
}

func TestProgress_ALeaseThatNobodySawEndGoesOn(t *testing.T) {
	p := NewProgress(epochStart)
	p.Lease(time.Now().Add(-time.Millisecond))
	p.Lease(time.Now().Add(time.Hour))
	if !p.Alive() {
		t.Error("it was renewed in time for everybody who asked")
	}
	p.Stop()
	p.Lease(time.Now().Add(time.Hour))
	if p.Alive() {
		t.Error("what was stopped goes on")
	}
}

// The monotonic clock stands while the machine is suspended; the wall clock goes on.
func TestProgress_TheWallClockEndsALeaseToo(t *testing.T) {
	p := NewProgress(epochStart)
	p.Lease(time.Now().Add(time.Hour))
	p.wall.Store(time.Now().Add(-time.Second).UnixNano())
	if p.Alive() || !p.Over() {
		t.Error("the lease has ended by the wall clock")
	}
}

func TestProgress_KnowsWhetherChangesWerePublished(t *testing.T) {
	p := NewProgress(second(0))
	p.Published(Mark{Position: second(5)})
	if p.changedSince(second(0)) {
		t.Error("a heartbeat is no change")
	}
	p.Published(Mark{Position: second(7), Records: 2})
	p.Published(Mark{Position: second(9)})
	if !p.changedSince(second(6)) || p.changedSince(second(7)) || !p.Position().Equal(second(9)) {
		t.Error("the change up to second 7 is unknown, or lasts longer")
	}
}
