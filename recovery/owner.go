package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spancast/spancast/message"
)

const (
	// slice is the number of messages of one answer before it is the next one's
	// turn, and sliceBytes the most bytes; a message more may come.
	slice      = 64
	sliceBytes = 1 << 20
	// maxRequests bounds the requests that are read at a time, so that a flood
	// of them does not hold up the answers.
	maxRequests = 100
	// housekeeping is how often time-outs are looked at, and those who wait
	// told so at least every waitEvery.
	housekeeping = time.Second
	waitEvery    = 2 * time.Second
	// fullWait is how long a client's queue in the socket is left alone when it
	// had no room.
	fullWait = time.Millisecond
)

// An owner is what the goroutine that owns the socket keeps.
type owner struct {
	*Server
	workers context.Context
	line    *line
	running []*answer // that have begun, and whose end was not sent or whose worker works
	frames  frames
	kept    time.Time // the last housekeeping
}

func newOwner(s *Server, workers context.Context) *owner {
	return &owner{Server: s, workers: workers, line: newLine(), frames: frames{epoch: []byte(s.opt.Epoch)}, kept: time.Now()}
}

// loop deals with whatever comes, until ctx is done.
func (o *owner) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := o.socket.listener.Tend(time.Now()); err != nil {
			return err
		}
		read, err := o.receive()
		if err != nil {
			return err
		}
		o.begin()
		sent, full, err := o.send()
		if err != nil {
			return err
		}
		now := time.Now()
		o.survey(now)
		if now.Sub(o.kept) >= housekeeping {
			o.kept = now
			if err := o.housekeep(now); err != nil {
				return err
			}
		}
		switch {
		case sent || read == maxRequests:
		case full:
			err = o.socket.wait(fullWait)
		default:
			err = o.socket.wait(housekeeping / 4)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receive reads requests.
func (o *owner) receive() (n int, err error) {
	for ; n < maxRequests; n++ {
		m, err := o.socket.receive()
		if err != nil || m.frames == nil {
			return n, err
		}
		if err := o.request(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

// send sends a slice of each answer that has something to send. Full says that
// one was kept from it by nothing but a full queue.
func (o *owner) send() (sent, full bool, err error) {
	for _, a := range o.running {
		n, err := o.slice(a)
		if err != nil {
			return sent, full, err
		}
		sent, full = sent || n > 0, full || a.full
	}
	o.sweep()
	working, live := 0, 0
	for _, a := range o.running {
		if a.live.Load() {
			live++
		} else {
			working++
		}
	}
	o.stats.Running.Store(int64(working))
	o.stats.Live.Store(int64(live))
	o.stats.Waiting.Store(int64(o.line.len))
	return sent, full, nil
}

// slice sends some of an answer. A client chooses its routing id, so that somebody
// else may have it as soon as its connection has ended: an answer is for the
// connection that asked for it.
func (o *owner) slice(a *answer) (n int, err error) {
	a.full = false
	if a.final != nil {
		return o.finish(a)
	}
	if a.done == len(a.taken) {
		a.taken, a.done = a.feed.take(a.taken[:0], slice), 0
	}
	if a.done < len(a.taken) && a.link.Ended() {
		return 0, o.failed(a, errAbsent)
	}
	from, bytes := a.done, int64(0)
	for a.done < len(a.taken) && bytes < sliceBytes {
		size, err := o.item(a, a.taken[a.done])
		if err == errNoCredit || err == errFull {
			a.full = err == errFull
			if a.stalled.IsZero() {
				a.stalled = time.Now()
			}
			break
		}
		if err != nil {
			return n, o.failed(a, err)
		}
		a.stalled = time.Time{}
		bytes += size
		a.done++
		n++
		if c := a.taken[a.done-1].control; c != nil && c.last {
			c.topic = "" // sent
			a.stop(c)
			return n, nil
		}
	}
	if a.done > from {
		a.feed.sent(a.taken[from:a.done])
		clear(a.taken[from:a.done])
	}
	return n, nil
}

// sent tells whether the end of an answer was sent, or cannot be.
func (c *control) sent() bool { return c.topic == "" }

// finish sends the end of an answer that was stopped.
func (o *owner) finish(a *answer) (n int, err error) {
	if a.final.sent() {
		return 0, nil
	}
	switch err := o.control(a, a.final); err {
	case nil:
		a.final.topic = ""
		return 1, nil
	case errFull:
		if a.full = true; time.Since(a.stalled) > o.opt.NoCredit {
			a.final.topic = ""
		}
		return 0, nil
	default:
		return 0, o.failed(a, err)
	}
}

var errNoCredit = errors.New("no credit")

// item sends one item, if the credit allows it, and returns its size.
func (o *owner) item(a *answer, i item) (int64, error) {
	if i.control != nil {
		err := o.control(a, i.control)
		if err == nil {
			a.sent(i, 0)
		}
		return 0, err
	}
	if a.credit.Messages <= 0 || a.credit.Bytes <= 0 {
		return 0, errNoCredit
	}
	if m := i.load.At(i.index); a.isNew(m.SchemaLevel, m.Schema) {
		if err := o.control(a, &control{topic: m.SchemaLevel + message.Schema, at: time.Now(), body: m.Schema}); err != nil {
			delete(a.schemas, schemaAt{m.SchemaLevel, m.Schema})
			return 0, err
		}
	}
	if err := o.frames.of(a, i); err != nil {
		return 0, err
	}
	if err := o.push(a.client); err != nil {
		return 0, err
	}
	size := o.frames.size()
	a.count++
	a.credit.Messages--
	a.credit.Bytes -= size
	a.sent(i, size)
	o.stats.Changes.Add(1)
	o.stats.Bytes.Add(uint64(size))
	return size, nil
}

func (o *owner) control(a *answer, c *control) error {
	if err := o.frames.of(a, item{control: c}); err != nil {
		return err
	}
	return o.push(a.client)
}

// push hands the frames to the socket.
func (o *owner) push(client string) error {
	f := &o.frames
	return o.socket.send([]byte(client), f.id, f.topic, f.header, f.body)
}

// failed acts on an error of one answer; errors of the socket are returned.
func (o *owner) failed(a *answer, err error) error {
	if err != errAbsent {
		return err
	}
	o.drop(a.client)
	return nil
}

// supersede drops what was asked for over another connection by a client of the
// same routing id.
func (o *owner) supersede(m received) {
	for _, a := range slices.Concat(o.running, o.line.waiting[m.client]) {
		if a.client == m.client && a.link != m.link {
			o.drop(m.client)
			return
		}
	}
}

// drop forgets a client that has gone.
func (o *owner) drop(client string) {
	for _, a := range o.running {
		if a.client == client && (a.final == nil || !a.final.sent()) {
			o.stats.Dropped.Add(1)
			a.stop(&control{})
		}
	}
	for _, a := range slices.Clone(o.line.waiting[client]) {
		o.stats.Dropped.Add(1)
		o.line.remove(a)
		a.reason = reasonOf(&control{})
		o.over(a)
	}
}

// housekeep lets go who does nothing, and tells those who wait that they do.
func (o *owner) housekeep(now time.Time) error {
	var failed error
	for _, a := range o.running {
		switch {
		case a.final != nil || a.stalled.IsZero():
		case now.Sub(a.stalled) >= o.opt.NoCredit:
			o.stats.Dropped.Add(1)
			a.stop(refusal(message.NoCredit, fmt.Sprintf("nothing was granted, or read, for %s", o.opt.NoCredit)))
		case failed == nil && now.Sub(a.stalled) >= waitEvery && now.Sub(a.said) >= waitEvery:
			failed = o.wait(a, 0, now) // which also shows whether the client is still there
		}
	}
	o.line.each(func(a *answer, before int) {
		if failed == nil && now.Sub(a.said) >= waitEvery {
			failed = o.wait(a, before, now)
		}
	})
	return failed
}

// wait tells a client that its request waits, for its turn or for credit.
func (o *owner) wait(a *answer, before int, now time.Time) error {
	a.said = now
	err := o.control(a, &control{topic: message.Wait, at: now, body: message.WaitBody{Before: before}})
	if err == errFull {
		return nil
	}
	if err != nil {
		return o.failed(a, err)
	}
	return nil
}

// end ends all answers, and waits for their workers.
func (o *owner) end() {
	interrupted := func(a *answer) {
		if a.reason == "" {
			a.reason = message.Interrupted
		}
		if a.final != nil && a.final.sent() {
			return
		}
		// Whoever does not get it notices that the socket is closed.
		_ = o.control(a, refusal(message.Interrupted, "the server is ending; ask again, here or elsewhere"))
	}
	for _, a := range o.running {
		interrupted(a)
		a.stop(&control{})
	}
	o.line.each(func(a *answer, _ int) { interrupted(a) })
	for _, a := range o.running {
		<-a.finished
		o.over(a)
	}
	o.line.each(func(a *answer, _ int) { o.over(a) })
}
