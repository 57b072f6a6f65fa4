package recovery

import (
	"cmp"
	"slices"
	"time"

	"github.com/spancast/spancast/message"
)

const (
	// parkAfter is how long an answer may wait for credit, or for its client to
	// read, before its place is another's. It is parked then: it goes on as soon
	// as it can.
	parkAfter = 500 * time.Millisecond
	// maxParked is how many may be, for each that is worked on. When more would
	// be, and others wait, the longest parked is let go.
	maxParked = 2
	// parkFollower is the same time for one that is live, whose place is wanted.
	parkFollower = 5 * time.Second
)

// parked is how long an answer has stood still for its client's sake.
func (a *answer) parked(now time.Time) time.Duration {
	if a.stalled.IsZero() || a.final != nil {
		return 0
	}
	return now.Sub(a.stalled)
}

// A census counts the answers that have begun.
type census struct {
	working   tally // not live, not parked
	parked    tally
	following tally          // without end, live or not
	each      map[string]int // by client, not live
}

// A tally counts answers, all and by party.
type tally struct {
	all int
	of  map[string]int
}

func (t *tally) add(a *answer) {
	if t.of == nil {
		t.of = make(map[string]int)
	}
	t.all++
	t.of[a.party]++
}

func (o *owner) census(now time.Time) census {
	c := census{each: make(map[string]int)}
	for _, a := range o.running {
		if a.open {
			c.following.add(a)
		}
		if a.live.Load() {
			continue
		}
		c.each[a.client]++
		if a.parked(now) >= parkAfter {
			c.parked.add(a)
		} else {
			c.working.add(a)
		}
	}
	return c
}

// begin starts the answers whose turn has come.
func (o *owner) begin() {
	now := time.Now()
	for o.line.len > 0 {
		c := o.census(now)
		if c.working.all >= o.opt.Running {
			return
		}
		if c.parked.all >= maxParked*o.opt.Running {
			o.evict(now, parkAfter, func(a *answer) bool { return !a.live.Load() })
			return // its place is free when its worker has ended
		}
		full := false
		a := o.line.next(func(a *answer) bool {
			if a.open && c.following.all >= o.opt.Following {
				full = true
				return false
			}
			if a.open && c.following.of[a.party] >= most(o.opt.Following) {
				return false
			}
			return c.each[a.client] < o.share() && c.working.of[a.party] < most(o.opt.Running)
		})
		if a == nil {
			if full {
				o.evict(now, parkFollower, func(a *answer) bool { return a.open })
			}
			return
		}
		o.running = append(o.running, a)
		a.begin(o.workers, o.socket.wake)
	}
}

// share is how many of the answers that have begun may be of one client, those
// that are live not counted.
func (o *owner) share() int { return (o.opt.Running + 1) / 2 }

// most is how many of a number of places one party may have: some stay for the
// others, however many clients it has.
func most(places int) int { return places - places/4 }

// evict lets the answer go that was parked longest, of a kind and for at least
// some time, of those of the party that has most such.
func (o *owner) evict(now time.Time, least time.Duration, of func(*answer) bool) {
	var parked []*answer
	var count tally
	for _, a := range o.running {
		if of(a) && a.parked(now) >= least {
			parked = append(parked, a)
			count.add(a)
		}
	}
	if len(parked) == 0 {
		return
	}
	o.stats.Dropped.Add(1)
	slices.MaxFunc(parked, func(a, b *answer) int {
		return cmp.Or(cmp.Compare(count.of[a.party], count.of[b.party]), cmp.Compare(a.parked(now), b.parked(now)))
	}).stop(refusal(message.NoCredit, "nothing was granted, or read, for a while, and others wait"))
}
