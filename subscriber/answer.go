package subscriber

import (
	"encoding/json"
	"fmt"

	"github.com/spancast/spancast/message"
)

// answer takes a message of the recovery endpoint. The frames are the machine's.
func (m *machine) answer(id, topic, header, body []byte, now instant) {
	s := &m.session
	s.reached, s.barred = true, 0
	if string(id) == helloID {
		m.told(body, now)
		return
	}
	if !s.active || string(id) != s.id {
		return // of a request that was given up
	}
	s.heard, s.answered = now, true
	if _, kind, ok := message.Control(string(topic)); ok {
		m.verdict(kind, body, now)
		return
	}
	m.progress()
	m.use(len(id) + len(topic) + len(header) + len(body))
	c := Change{Body: body, Origin: Replay}
	if !c.read(header, &m.stamps) {
		m.malformed(string(topic))
		return
	}
	if s.changes++; !m.inSequence(&c, now) {
		return
	}
	c.Topic = m.names.of(topic)
	if s.snapshot {
		c.Origin = Snapshot
		m.ready, m.isReady = c, true
		return
	}
	if c.at < m.complete || m.seen.has(c.hash) {
		m.stats.Duplicates++
		return
	}
	if s.sorted {
		m.reach(c.at) // all that comes before it has come
	} else if m.seen.count >= m.cfg.remember {
		m.cancel()
		m.failed("too many changes beyond the resolved time", now)
		return
	}
	m.ready, m.isReady = c, true
}

// inSequence looks whether an answer has a hole, as it never should.
func (m *machine) inSequence(c *Change, now instant) bool {
	if n, ok := c.Header.Counter(0); ok && n == m.session.changes {
		return true
	}
	m.cancel()
	m.failed(fmt.Sprintf("change %d of the answer has the count %s", m.session.changes, c.Header.Counters), now)
	return false
}

// use accounts for a message, and grants as much again when half is used up.
func (m *machine) use(bytes int) {
	s := &m.session
	s.used.Messages++
	s.used.Bytes += int64(bytes)
	if 2*s.used.Messages < m.cfg.credit.Messages && 2*s.used.Bytes < m.cfg.credit.Bytes {
		return
	}
	m.send(message.CommandCredit, message.CreditRequest{ID: s.id, Credit: s.used})
	s.used = message.Credit{}
}

// verdict takes a control message of an answer.
func (m *machine) verdict(kind string, text []byte, now instant) {
	var err error
	switch kind {
	case message.Begin:
		var body message.BeginBody
		if err = json.Unmarshal(text, &body); err == nil {
			m.begun(body)
		}
	case message.Replay, message.Live:
		var body message.ReplayBody
		if err = json.Unmarshal(text, &body); err == nil {
			m.replayed(kind, body)
		}
	case message.End:
		var body message.EndBody
		if err = json.Unmarshal(text, &body); err == nil {
			m.ended(body, now)
		}
	case message.Gone:
		var body message.GoneBody
		if err = json.Unmarshal(text, &body); err == nil {
			m.gone(body, now)
		}
	case message.Failed:
		var body message.ErrorBody
		if err = json.Unmarshal(text, &body); err == nil {
			m.refused(body, now)
		}
	case message.Gap:
		m.skipped(text)
	}
	if err != nil {
		m.malformed(kind)
	}
}

// begun learns that an answer begins, which is not progress yet: it may fail at
// once, again and again.
func (m *machine) begun(body message.BeginBody) {
	if m.session.snapshot {
		m.session.at = body.At
	}
	if from, ok := parseStamp(body.From); ok && m.session.initial && m.session.open {
		m.reach(from)
	}
}

// replayed learns how far the replay is.
func (m *machine) replayed(kind string, body message.ReplayBody) {
	m.progress()
	if at, ok := parseStamp(body.Resolved); ok && !m.session.snapshot {
		m.reach(at)
	}
	if kind == message.Live {
		m.session.sorted = false
		m.mode = recovering // it stays: nothing is published to this subscriber
		m.stats.Following = true
		m.out.lived = true
		if m.session.floor == 0 {
			m.session.floor = m.complete
		}
	}
}

// ended takes the end of a complete answer.
func (m *machine) ended(body message.EndBody, now instant) {
	s := &m.session
	if body.Changes != s.changes {
		m.failed(fmt.Sprintf("%d changes came of %d", s.changes, body.Changes), now)
		return
	}
	s.active = false
	m.progress()
	if s.snapshot {
		m.snapshotEnded(body, now)
		return
	}
	at, ok := parseStamp(body.Resolved)
	if !ok || s.open {
		m.failed("an end without a time", now)
		return
	}
	m.reach(at)
	m.stats.Recoveries++
	m.stats.Took = now - s.began
	if at <= s.latest {
		// Something later was published before the replay was asked for, and so
		// may be what was lost.
		m.wanted = "an early end"
	}
	m.stats.Duplicates += uint64(m.held.trim(m.complete))
	if m.wanted != "" {
		m.request(now)
		return
	}
	m.flow(now)
}

func (m *machine) snapshotEnded(body message.EndBody, now instant) {
	next := body.Next
	if v, err := message.ParseVersion([]byte(next)); err == nil {
		next = v.CommitTimestamp
	}
	at, ok := parseStamp(next)
	if !ok {
		m.failed("the end of the snapshot names no time", now)
		return
	}
	m.session.snapshot = false
	m.complete, m.session.floor = at, at
	m.wanted = "after the snapshot"
	m.request(now)
}

// gone takes that changes are too old to be had.
func (m *machine) gone(body message.GoneBody, now instant) {
	m.session.active = false
	if m.session.snapshot { // it was interrupted for longer than rows are kept as they were
		m.session.at, m.session.after = "", ""
		m.failed("the snapshot cannot be read on and begins anew, at a later time: rows come again", now)
		return
	}
	oldest, ok := parseStamp(body.Oldest)
	if !ok || oldest <= m.complete {
		m.failed("what is missing is gone, and it is not said from when on it is not", now)
		return
	}
	m.gap(Gap{Cause: Expired, From: m.complete.time(), To: oldest.time()})
	m.reach(oldest)
	m.request(now)
}

// refused takes that there is no (further) answer.
func (m *machine) refused(body message.ErrorBody, now instant) {
	switch body.Code {
	case message.BadRequest:
		m.session.active = false
		m.out.err = fmt.Errorf("%w: %s: %s", ErrRefused, body.Code, body.Message)
	case message.Denied:
		m.denied(body.Message, now)
	default:
		m.failed(body.Code+": "+body.Message, now)
	}
}

// denied takes that this identity may not have what was asked for. That ends it
// if the user asked for it; otherwise what is published is still to be had.
func (m *machine) denied(text string, now instant) {
	s := &m.session
	s.active = false
	if m.cfg.follow || s.demanded && !m.cfg.resumed {
		m.out.err = fmt.Errorf("%w: %s: %s", ErrRefused, message.Denied, text)
		return
	}
	m.log.Warn("this identity may not ask for what is lost: that will be told, and cannot be mended", "error", text)
	if m.wanted == "" {
		m.wanted = s.why
	}
	m.bar(now)
	m.giveUp(now)
}
