package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spancast/spancast/message"
)

// request acts on one message of a client. Only errors of the socket are
// returned; what is wrong with the request, the client is told.
func (o *owner) request(m received) error {
	client, frames := m.client, m.frames
	o.supersede(m)
	if len(frames) != 2 {
		return o.refuse(client, "", badRequest(fmt.Sprintf("a request has 2 frames, a command and a JSON object, not %d", len(frames))))
	}
	var id struct {
		ID string `json:"id"`
	}
	err := decode(frames[1], &id)
	if err == nil {
		err = checkID(id.ID)
	}
	if err != nil {
		return o.refuse(client, "", badRequest(err.Error()))
	}
	switch string(frames[0]) {
	case message.CommandHello:
		return o.reply(client, id.ID, &control{topic: message.Hello, at: time.Now(), body: o.opt.Hello()})
	case message.CommandReplay, message.CommandSnapshot:
		a, err := o.accept(m, id.ID)
		if err != nil {
			return o.refuse(client, id.ID, err)
		}
		return o.enqueue(a)
	case message.CommandCredit:
		err = o.grant(client, id.ID, frames[1])
	case message.CommandCancel:
		o.cancel(client, id.ID)
	default:
		err = badRequest("there is no such command")
	}
	if err != nil {
		return o.refuse(client, id.ID, err)
	}
	return nil
}

// reply sends a message that is not in any answer's order. A client that does
// not read its replies, or has gone, misses them.
func (o *owner) reply(client, id string, c *control) error {
	a := &answer{client: client, id: id}
	if err := o.control(a, c); err != nil && err != errFull && err != errAbsent {
		return err
	}
	return nil
}

// refuse tells a client that its request is refused.
func (o *owner) refuse(client, id string, err error) error {
	o.stats.Refused.Add(1)
	return o.reply(client, id, failure(err))
}

// find returns an answer that has not ended.
func (o *owner) find(client, id string) *answer {
	for _, a := range o.running {
		if a.client == client && a.id == id && a.final == nil {
			return a
		}
	}
	return o.line.find(client, id)
}

// accept checks a request for an answer.
func (o *owner) accept(m received, id string) (*answer, error) {
	client, text := m.client, m.frames[1]
	if o.find(client, id) != nil {
		return nil, badRequest("the id is that of an answer that has not ended")
	}
	a := &answer{client: client, party: cmp.Or(m.identity, client), link: m.link, id: id, asked: Asked{Identity: m.identity}, feed: newFeed(o.opt.MaxBuffer, o.socket.wake, &o.stats.Buffered)}
	var err error
	if string(m.frames[0]) == message.CommandReplay {
		err = o.acceptReplay(a, m.identity, text)
	} else {
		err = o.acceptSnapshot(a, m.identity, text)
	}
	if err != nil {
		return nil, err
	}
	if len(o.line.waiting[client]) >= o.opt.WaitingEach {
		return nil, &requestError{message.TooMany, fmt.Sprintf("a client may have %d requests in line", o.opt.WaitingEach)}
	}
	if o.line.of(a.party) >= most(o.opt.Waiting) {
		return nil, &requestError{message.TooMany, fmt.Sprintf("an identity may have %d requests in line", most(o.opt.Waiting))}
	}
	if o.line.len >= o.opt.Waiting {
		return nil, &requestError{message.TooMany, fmt.Sprintf("%d requests are in line, and there is no room for more", o.line.len)}
	}
	return a, nil
}

func (o *owner) acceptReplay(a *answer, identity string, text []byte) error {
	var q message.ReplayRequest
	if err := decode(text, &q); err != nil {
		return badRequest(err.Error())
	}
	span, err := spanOf(&q)
	if err := errors.Join(err, checkTopics(q.Topics), checkCredit(q.Credit)); err != nil {
		return badRequest(err.Error())
	}
	if err := o.authorize(Request{Identity: identity, Command: message.CommandReplay, Topics: q.Topics}); err != nil {
		return err
	}
	a.open, a.credit = span.open, q.Credit
	kind := KindReplay
	if a.open {
		kind = KindFollow
	}
	router, shown := o.opt.Router(), make([]string, 0, maxWhat+1)
	for _, topic := range q.Topics[:min(len(q.Topics), maxWhat+1)] {
		shown = append(shown, router.Shown(topic))
	}
	a.describe(kind, shown, q.From, q.To)
	a.worker = &replay{opt: &o.opt, feed: a.feed, span: span, topics: q.Topics, live: func() { a.live.Store(true); o.socket.wake() }}
	return nil
}

func (o *owner) acceptSnapshot(a *answer, identity string, text []byte) error {
	var q message.SnapshotRequest
	if err := decode(text, &q); err != nil {
		return badRequest(err.Error())
	}
	s := &snapshot{opt: &o.opt, feed: a.feed, tables: q.Tables, wanted: wanted{topics: []string{""}}}
	var err error
	if q.At != "" {
		if s.at, err = parseTime(q.At); err != nil {
			return badRequest("at is not an RFC 3339 time")
		}
	}
	if q.After != "" {
		at, from, err := placeOf(q.After)
		if err != nil {
			return badRequest(err.Error())
		}
		if q.At != "" && !at.Equal(s.at) {
			return badRequest("at is not the timestamp of after")
		}
		s.at, s.from = at, from
	}
	if err := checkCredit(q.Credit); err != nil {
		return badRequest(err.Error())
	}
	if err := o.authorize(Request{Identity: identity, Command: message.CommandSnapshot, Tables: q.Tables}); err != nil {
		return err
	}
	a.credit, a.worker = q.Credit, s
	a.describe(KindSnapshot, q.Tables, q.At, "")
	return nil
}

// enqueue puts a request in line, and tells its client if it has to wait there.
func (o *owner) enqueue(a *answer) error {
	o.stats.Requests.Add(1)
	o.line.add(a)
	if o.begin(); o.line.find(a.client, a.id) == nil {
		return nil
	}
	before := 0
	o.line.each(func(b *answer, n int) {
		if a == b {
			before = n
		}
	})
	return o.wait(a, before, time.Now())
}

// grant adds to the credit of an answer. One that has ended needs none.
func (o *owner) grant(client, id string, text []byte) error {
	var q message.CreditRequest
	if err := decode(text, &q); err != nil {
		return badRequest(err.Error())
	}
	if err := checkCredit(q.Credit); err != nil {
		return badRequest(err.Error())
	}
	if a := o.find(client, id); a != nil {
		a.credit.Messages = add(a.credit.Messages, q.Messages)
		a.credit.Bytes = add(a.credit.Bytes, q.Bytes)
	}
	return nil
}

// add adds what is not negative, up to what there is room for.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// cancel ends an answer at its client's wish.
func (o *owner) cancel(client, id string) {
	a := o.find(client, id)
	if a == nil {
		return // it has ended, and the client will find out
	}
	a.stop(refusal(message.Canceled, "as you wished"))
	if a.finished == nil { // it was in line
		o.line.remove(a)
		closed := make(chan struct{})
		close(closed)
		a.finished = closed
		o.running = append(o.running, a)
	}
}
