package publisher

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// always lets control messages out: they are no partition's.
func always() bool { return true }

// control sends a control message of a level. Its version is the time.
func (o *outlet) control(level, kind string, body any) error {
	return o.controlAt(level, kind, now(), body)
}

func (o *outlet) controlAt(level, kind string, at time.Time, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write a %s message: %w", kind, err)
	}
	o.numbers = o.counters.read(o.numbers[:0], level)
	o.header = message.AppendHeader(o.header[:0], []byte(message.ControlVersion(at)), o.epoch, o.numbers, []byte("{}"))
	return o.socket.send([]byte(level+kind), o.header, text, always)
}

// look reads what subscribers have asked for since the last time, and answers
// new subscriptions: with the state of their level, which also says that they
// are active, and newcomers at the root with a hello.
func (o *owner) look(now time.Time) error {
	for _, out := range o.outlets {
		if err := out.tend(now); err != nil {
			return err
		}
		asked, err := o.read(out, now)
		if err != nil {
			return err
		}
		for prefix := range asked {
			if err := o.answer(out, prefix); err != nil {
				return err
			}
		}
		out.listener.Curb(out.interest, o.opt.Log)
	}
	o.countSlow()
	return nil
}

const (
	// maxAnswers bounds the subscriptions that are answered at a time, so that a
	// flood of them does not hold up the changes, and readTime how long the rest
	// of the flood is read.
	maxAnswers = 1000
	readTime   = 4 * time.Millisecond
)

// read reads what subscribers have asked for, and returns what is to be answered.
func (o *owner) read(out *outlet, began time.Time) (asked map[string]bool, err error) {
	for n := 0; n < maxAnswers || time.Since(began) < readTime; n++ {
		s, came, err := access.ReceiveSubscription(out.socket.z)
		if err != nil {
			return nil, err
		}
		if !came {
			out.interest.Settled()
			break
		}
		if s == nil {
			continue
		}
		if out.interest.Note(s, began) {
			o.asked.note(s.Prefix, s.On)
			o.stats.Subscriptions.Add(step(s.On))
		}
		if !s.On {
			continue
		}
		out.see(s)
		if asked == nil {
			asked = make(map[string]bool)
		}
		if len(asked) < maxAnswers {
			asked[s.Prefix] = true
		}
	}
	return asked, nil
}

// step is by how much a subscription that began or ended changes their number.
func step(on bool) int64 {
	if on {
		return 1
	}
	return -1
}

func (o *owner) answer(out *outlet, prefix string) error {
	if prefix == "" || prefix == message.Hello {
		if err := out.hello(); err != nil {
			return err
		}
	}
	if prefix == "" || prefix == message.Gap {
		if err := o.announceGaps(out); err != nil {
			return err
		}
	}
	if level, kind, ok := message.Control(prefix); ok {
		if kind == message.Resolved {
			return out.resolve(level)
		}
		return nil
	}
	if _, ok := message.Level(prefix); !ok || len(prefix) > maxPrefix {
		return nil
	}
	return out.resolve(prefix)
}

// maxPrefix is the longest prefix that a topic can have.
const maxPrefix = 255

// hello says who is there, and who was.
func (o *outlet) hello() error {
	body := o.greeting()
	o.directory = body.Directory()
	body.Former = o.fleet.see(body.Endpoints)
	return o.control("", message.Hello, body)
}

func (o *outlet) greeting() message.HelloBody {
	if o.audience.Hello != nil {
		return o.audience.Hello()
	}
	return o.opt.Hello()
}

// direct says hello when the fleet is not the one of the last hello. Resolved
// messages that follow may count on what the new ones publish.
func (o *outlet) direct() error {
	if body := o.greeting(); body.Directory() == o.directory {
		return nil
	}
	return o.hello()
}

// resolve says how a level stands. What it says of time is asked before what it
// says of counts is read, by the goroutine that counts: nothing that the time
// covers is missing in the counts.
func (o *outlet) resolve(level string) error {
	own, fleet := o.opt.Resolved()
	if err := o.direct(); err != nil {
		return err
	}
	body := message.ResolvedBody{Dropped: o.socket.dropped, Directory: o.directory}
	if !own.IsZero() {
		body.Replica = message.FormatTime(own)
	}
	if !fleet.IsZero() {
		body.Fleet = message.FormatTime(fleet)
	}
	return o.controlAt(level, message.Resolved, own, body)
}

// resolveMoved says so for the levels that counted since the last time, and for
// the root in any case: time goes on there.
func (o *owner) resolveMoved() error {
	for _, out := range o.outlets {
		for _, l := range out.counters.takeMoved() {
			if l.prefix == "" {
				continue
			}
			if err := out.resolve(l.prefix); err != nil {
				return err
			}
		}
		if err := out.resolve(""); err != nil {
			return err
		}
	}
	return nil
}

// repeat says everything again.
func (o *owner) repeat() error {
	for _, out := range o.outlets {
		for prefix := range out.counters.levels {
			if err := out.resolve(prefix); err != nil {
				return err
			}
		}
		for _, a := range out.schemas.recent(time.Now()) {
			if err := out.control(a.level, message.Schema, a.schema); err != nil {
				return err
			}
		}
		if err := o.announceGaps(out); err != nil {
			return err
		}
		if err := out.hello(); err != nil {
			return err
		}
	}
	return nil
}

// A lostRecord is a gap that was announced.
type lostRecord struct {
	gap changestream.Gap
	at  time.Time
}

const (
	// gapsFor is how long a gap is announced again, for those who come later.
	gapsFor = time.Hour
	// maxGaps bounds those that are.
	maxGaps = 1000
)

// gap announces that changes cannot be had any more.
func (o *owner) gap(g changestream.Gap) error {
	if len(o.lost) >= maxGaps {
		o.lost = o.lost[1:]
	}
	o.lost = append(o.lost, lostRecord{g, time.Now()})
	for _, out := range o.outlets {
		if err := out.control("", message.Gap, gapBody(g)); err != nil {
			return err
		}
	}
	return nil
}

// announceGaps says again which changes were lost lately.
func (o *owner) announceGaps(out *outlet) error {
	for len(o.lost) > 0 && time.Since(o.lost[0].at) > gapsFor {
		o.lost = o.lost[1:]
	}
	for _, l := range o.lost {
		if err := out.control("", message.Gap, gapBody(l.gap)); err != nil {
			return err
		}
	}
	return nil
}

// bye ends the epoch: the final state of every level, then the goodbye.
func (o *owner) bye() error {
	if err := o.resolveMoved(); err != nil {
		return err
	}
	for _, out := range o.outlets {
		body := message.ByeBody{Epoch: o.opt.Epoch, Counters: make(map[string]uint64)}
		for prefix, l := range out.counters.levels {
			body.Counters[prefix] = l.count
		}
		if err := out.control("", message.Bye, body); err != nil {
			return err
		}
	}
	return nil
}

// announcements are the schemas that were announced, and where.
type announcements struct {
	last announcement // the latest that was asked for
	all  map[announcement]time.Time
}

type announcement struct {
	level  string
	schema *changestream.Schema
}

const (
	// maxAnnounced bounds the schemas that are kept: an update makes one of the
	// columns it touched.
	maxAnnounced = 4096
	// forgetAfter is how long a schema that is not used is announced again.
	forgetAfter = 10 * time.Minute
)

func newAnnouncements() *announcements {
	return &announcements{all: make(map[announcement]time.Time)}
}

// isNew tells whether a schema is yet to be announced at a level.
func (a *announcements) isNew(level string, schema *changestream.Schema) bool {
	this := announcement{level, schema}
	if this == a.last {
		return false
	}
	if _, known := a.all[this]; !known {
		return true
	}
	a.last, a.all[this] = this, time.Now()
	return false
}

// add takes a schema for announced.
func (a *announcements) add(level string, schema *changestream.Schema) {
	this := announcement{level, schema}
	if len(a.all) >= maxAnnounced {
		clear(a.all)
	}
	a.last, a.all[this] = this, time.Now()
}

// recent returns what was used lately and forgets the rest.
func (a *announcements) recent(now time.Time) []announcement {
	var out []announcement
	for this, used := range a.all {
		if this == a.last {
			a.all[this] = now
		} else if now.Sub(used) > forgetAfter {
			delete(a.all, this)
			continue
		}
		out = append(out, this)
	}
	return out
}
