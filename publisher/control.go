package publisher

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// always lets control messages out: they are no partition's.
func always() bool { return true }

// control sends a control message of a level. Its version is the time.
func (o *owner) control(level, kind string, body any) error {
	return o.controlAt(level, kind, now(), body)
}

func (o *owner) controlAt(level, kind string, at time.Time, body any) error {
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
	o.looked = now
	if err := o.socket.refresh(now); err != nil {
		return err
	}
	asked := make(map[string]bool)
	for range maxAnswers {
		prefix, on, ok, err := o.socket.subscription()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		o.asked.note(prefix, on)
		if !on {
			o.stats.Subscriptions.Add(-1)
			continue
		}
		o.stats.Subscriptions.Add(1)
		asked[prefix] = true
	}
	for prefix := range asked {
		if err := o.answer(prefix); err != nil {
			return err
		}
	}
	return nil
}

// maxAnswers bounds the subscriptions that are dealt with at a time, so that a
// flood of them does not hold up the changes.
const maxAnswers = 1000

func (o *owner) answer(prefix string) error {
	if prefix == "" || prefix == message.Hello {
		if err := o.hello(); err != nil {
			return err
		}
	}
	if prefix == "" || prefix == message.Gap {
		if err := o.announceGaps(); err != nil {
			return err
		}
	}
	if level, kind, ok := message.Control(prefix); ok {
		if kind == message.Resolved {
			return o.resolve(level)
		}
		return nil
	}
	if _, ok := message.Level(prefix); !ok || len(prefix) > maxPrefix {
		return nil
	}
	return o.resolve(prefix)
}

// maxPrefix is the longest prefix that a topic can have.
const maxPrefix = 255

func (o *owner) hello() error {
	body := o.opt.Hello()
	o.directory = message.DirectoryOf(body.Endpoints)
	body.Former = o.fleet.see(body.Endpoints)
	return o.control("", message.Hello, body)
}

// direct says hello when the fleet is not the one of the last hello. Resolved
// messages that follow may count on what the new ones publish.
func (o *owner) direct() error {
	if message.DirectoryOf(o.opt.Hello().Endpoints) == o.directory {
		return nil
	}
	return o.hello()
}

// resolve says how a level stands. What it says of time is asked before what it
// says of counts is read, by the goroutine that counts: nothing that the time
// covers is missing in the counts.
func (o *owner) resolve(level string) error {
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
	moved := o.counters.takeMoved()
	for _, l := range moved {
		if l.prefix == "" {
			continue
		}
		if err := o.resolve(l.prefix); err != nil {
			return err
		}
	}
	return o.resolve("")
}

// repeat says everything again.
func (o *owner) repeat() error {
	for prefix := range o.counters.levels {
		if err := o.resolve(prefix); err != nil {
			return err
		}
	}
	for _, a := range o.schemas.recent(time.Now()) {
		if err := o.control(a.level, message.Schema, a.schema); err != nil {
			return err
		}
	}
	if err := o.announceGaps(); err != nil {
		return err
	}
	return o.hello()
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
	return o.control("", message.Gap, gapBody(g))
}

// announceGaps says again which changes were lost lately.
func (o *owner) announceGaps() error {
	for len(o.lost) > 0 && time.Since(o.lost[0].at) > gapsFor {
		o.lost = o.lost[1:]
	}
	for _, l := range o.lost {
		if err := o.control("", message.Gap, gapBody(l.gap)); err != nil {
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
	body := message.ByeBody{Epoch: o.opt.Epoch, Counters: make(map[string]uint64)}
	for prefix, l := range o.counters.levels {
		body.Counters[prefix] = l.count
	}
	return o.control("", message.Bye, body)
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

// isNew tells whether a schema is yet to be announced at a level, and takes it
// for announced.
func (a *announcements) isNew(level string, schema *changestream.Schema) bool {
	this := announcement{level, schema}
	if this == a.last {
		return false
	}
	a.last = this
	_, known := a.all[this]
	if !known && len(a.all) >= maxAnnounced {
		clear(a.all)
	}
	a.all[this] = time.Now()
	return !known
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
