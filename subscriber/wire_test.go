package subscriber

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/spancast/spancast/message"
)

// deliver hands the first message of a pipe to the subscriber.
func (w *world) deliver(endpoint string) bool {
	c := w.pipes[endpoint]
	if c == nil || len(c.queue) == 0 {
		return false
	}
	f := c.queue[0]
	c.queue = c.queue[1:]
	w.m.live([]byte(f[0]), []byte(f[1]), []byte(f[2]), w.now)
	w.settle(-1)
	return true
}

// reply lets the recovery endpoint send one message.
func (w *world) reply() bool {
	r := w.asked
	if r == nil || r.ended {
		return false
	}
	answer := func(topic, header, body string) {
		w.m.answer([]byte(r.id), []byte(topic), []byte(header), []byte(body), w.now)
	}
	if r.sent < len(r.todo) {
		c := r.todo[r.sent]
		r.sent++
		answer(c.topic, fmt.Sprintf("%s %016d %d {}", c.version(), 0, r.sent), c.key)
	} else {
		r.ended = true
		text, _ := json.Marshal(message.EndBody{Changes: uint64(r.sent), Resolved: r.to.String()})
		answer(message.End, message.ControlVersion(r.to.time())+" 0 0 {}", string(text))
	}
	w.settle(-1)
	return true
}

// interrupt lets the recovery endpoint fail.
func (w *world) interrupt() {
	if r := w.asked; r != nil && !r.ended {
		r.ended = true
		text, _ := json.Marshal(message.ErrorBody{Code: message.Interrupted})
		w.m.answer([]byte(r.id), []byte(message.Failed), []byte(message.ControlVersion(w.clock.time())+" 0 0 {}"), text, w.now)
		w.settle(-1)
	}
}

// settle takes what the machine hands on, n changes at most if n is not negative, and
// does what it wants to be done.
func (w *world) settle(n int) {
	for c := w.m.next(w.now); c != nil && n != 0; c = w.m.next(w.now) {
		w.check(c)
		w.m.done()
		n--
	}
	e := w.m.take()
	if w.forgiving {
		w.gaps, w.err, e.gaps, e.err = append(w.gaps, e.gaps...), errors.Join(w.err, e.err), nil, nil
	}
	if e.err != nil {
		w.fail("the machine fails: %v", e.err)
	}
	for _, g := range e.gaps {
		w.fail("the machine has given something up: %s", g)
	}
	for _, endpoint := range e.connect {
		if w.pipes[endpoint] == nil {
			w.connect(endpoint)
		}
	}
	for _, endpoint := range e.disconnect {
		delete(w.pipes, endpoint)
	}
	if e.ping {
		for endpoint, c := range w.pipes {
			if !c.cut {
				w.greet(endpoint)
			}
		}
	}
	for _, r := range e.requests {
		w.request(r)
	}
	if w.from == 0 && w.m.mode == flowing {
		w.from = w.m.session.floor
	}
}

func (w *world) request(r request) {
	switch {
	case w.mute:
		return
	case w.stutters && r.command == message.CommandReplay: // begins, and cannot read
		var q message.ReplayRequest
		json.Unmarshal(r.body, &q)
		begin, _ := json.Marshal(message.BeginBody{From: q.From})
		broken, _ := json.Marshal(message.ErrorBody{Code: message.Interrupted, Message: "cannot read on"})
		for _, m := range []struct {
			kind string
			body []byte
		}{{message.Begin, begin}, {message.Failed, broken}} {
			w.m.answer([]byte(q.ID), []byte(m.kind), []byte(message.ControlVersion(w.clock.time())+" 0 0 {}"), m.body, w.now)
			w.settle(-1)
		}
		return
	case w.denies && r.command == message.CommandReplay:
		var q message.ReplayRequest
		json.Unmarshal(r.body, &q)
		text, _ := json.Marshal(message.ErrorBody{Code: message.Denied, Message: "not granted"})
		w.m.answer([]byte(q.ID), []byte(message.Failed), []byte(message.ControlVersion(w.clock.time())+" 0 0 {}"), text, w.now)
		w.settle(-1)
		return
	}
	switch r.command {
	case message.CommandReplay:
		var q message.ReplayRequest
		if err := json.Unmarshal(r.body, &q); err != nil || r.endpoint != "rec" {
			w.fail("request %s: %v", r.body, err)
		}
		w.clock += 1000 // later than every commit
		w.asked = &replay{id: q.ID, to: w.clock}
		w.asked.from, _ = parseStamp(q.From)
		if q.From == message.Now {
			w.asked.from = w.clock
		}
		for _, c := range w.log {
			if c.at >= w.asked.from && c.at < w.asked.to && filter(q.Topics).wants(c.topic) {
				w.asked.todo = append(w.asked.todo, c)
			}
		}
	case message.CommandHello:
		var body message.HelloBody
		for _, p := range w.pubs {
			body.Endpoints = append(body.Endpoints, message.Endpoint{Epoch: p.epoch, Publish: []string{p.endpoint}})
		}
		text, _ := json.Marshal(body)
		w.m.answer([]byte(helloID), []byte(message.Hello), []byte(message.ControlVersion(w.clock.time())+" 0 0 {}"), text, w.now)
	case message.CommandCancel:
		w.asked = nil
	}
}

// check looks at a change that is handed on: it must be the next one of its key.
func (w *world) check(c *Change) {
	i := sort.Search(len(w.log), func(i int) bool { return w.log[i].at >= c.at })
	if i == len(w.log) || w.log[i].at != c.at {
		w.fail("%s was never committed", c.Header.Version)
		return
	}
	r := w.log[i]
	if w.got[r]++; w.got[r] > 1 {
		w.fail("%s came twice, the second time %s", r.version(), c.Origin)
	}
	if string(c.Body) != r.key || c.Topic != r.topic {
		w.fail("%s is of %s/%s", r.version(), c.Topic, c.Body)
	}
	for _, before := range w.log[:i] {
		if before.key == r.key && before.at >= w.from && w.from != 0 && w.got[before] == 0 && w.wanted(before) {
			w.fail("%s of %s came %s before %s", r.version(), r.key, c.Origin, before.version())
		}
	}
	for _, after := range w.log[i+1:] {
		if after.key == r.key && w.got[after] > 0 {
			w.fail("%s of %s came %s after %s", r.version(), r.key, c.Origin, after.version())
		}
	}
}

// calm lets everything come to rest and checks that nothing is missing.
func (w *world) calm() {
	for _, c := range w.pipes {
		c.cut = false
	}
	w.expire()
	if len(w.pubs) == 0 {
		w.start("pub0")
	}
	for i := range w.parts {
		w.take(w.pubs[0], i)
	}
	for round := range 400 {
		w.now += 100 * instant(time.Millisecond)
		for i := range w.parts {
			w.publish(i, -1)
		}
		for _, p := range w.pubs {
			w.save(p)
		}
		for _, p := range w.pubs {
			w.look(p)
			w.resolveAll(p)
		}
		w.m.tick(w.now)
		w.settle(-1)
		for endpoint := range w.pipes {
			for w.deliver(endpoint) {
			}
		}
		for w.reply() {
		}
		if w.m.mode == flowing && round > 10 && w.m.complete > w.lastCommit() {
			w.whole()
			return
		}
	}
	w.fail("it does not come to rest: mode %d, why %q, complete %s, last %s, session %+v, fleet %+v", w.m.mode, w.m.session.why, w.m.complete, w.lastCommit(), w.m.session, w.m.fleet)
}

func (w *world) lastCommit() stamp {
	if len(w.log) == 0 {
		return 0
	}
	return w.log[len(w.log)-1].at
}

// whole checks that everything has come.
func (w *world) whole() {
	for _, r := range w.log {
		if r.at >= w.from && w.wanted(r) && w.got[r] == 0 {
			w.fail("%s of %s never came", r.version(), r.key)
		}
	}
	if w.m.held.len() > 0 || w.m.seen.count > 0 && w.m.seen.ring[w.m.seen.head].at < w.m.complete {
		w.fail("%d held, %d remembered", w.m.held.len(), w.m.seen.count)
	}
}

// emit sends a message to the subscriber, if it is connected and subscribed.
func (w *world) emit(p *pub, topic, header, body string) {
	c := w.pipes[p.endpoint]
	if c == nil || c.cut {
		return
	}
	wanted := topic == message.Hello || topic == message.Bye || topic == message.Resolved
	for _, l := range w.opt.levels {
		wanted = wanted || strings.HasPrefix(topic, l.prefix)
	}
	if wanted {
		c.queue = append(c.queue, [3]string{topic, header, body})
	}
}

// greet is what happens when a connection is made: the publisher there answers
// the subscriptions.
func (w *world) greet(endpoint string) {
	for _, p := range w.pubs {
		if p.endpoint == endpoint {
			w.hello(p)
			for _, l := range w.opt.levels {
				w.resolve(p, l.prefix)
			}
		}
	}
}
