package subscriber

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/spancast/spancast/message"
)

// A request is what is to be sent to a recovery endpoint.
type request struct {
	endpoint string
	command  string
	body     []byte // JSON
}

// A session is what is asked of the recovery endpoints: one request at a time.
type session struct {
	active   bool
	id       string
	number   int
	endpoint string
	heard    instant
	began    instant
	why      string // what the replay is for

	answered bool // anything has come
	open     bool // it has no end
	sorted   bool // changes come in the order of their versions
	initial  bool // it asks what time it is
	changes  uint64
	used     message.Credit // of what was granted, and not granted again
	latest   stamp          // of what was published when it was sent
	covers   []*publisher   // lost before it was sent

	demanded bool     // the user wants changes from before the start
	alive    []string // recovery endpoints of the publishers
	floor    stamp    // where it all began
	snapshot bool     // it is the turn of the snapshot
	at       string   // read timestamp of the snapshot
	after    string   // version of its last row

	reached  bool    // somebody has answered, ever
	barred   instant // until when nobody is asked, since nobody may be, or answers
	next     int     // place in the list of endpoints
	failures int     // since something came
	failing  instant // since when; 0 is not
	retryAt  instant
}

// endpoints lists where to recover from: what the user names, and those of the
// publishers that are alive, or were when some were last.
func (m *machine) endpoints() []string {
	if alive := m.fleet.recoverable(); len(alive) > 0 {
		m.session.alive = alive
	}
	out := slices.Clone(m.cfg.recover)
	for _, e := range m.session.alive {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// helloID is the id of all requests for a hello.
const helloID = "hello"

// canRecover tells whether it is any use to ask.
func (m *machine) canRecover(now instant) bool {
	return now >= m.session.barred && len(m.endpoints()) > 0
}

// bar takes it that nobody will answer for a while: whoever has no grants of his
// own is better served with what is published, than by waiting for each loss.
func (m *machine) bar(now instant) {
	m.session.barred = now + m.cfg.giveUp
}

// request asks for what is missing: a snapshot, the time, or a replay.
func (m *machine) request(now instant) {
	s := &m.session
	endpoints := m.endpoints()
	if now < s.barred {
		m.giveUp(now)
		return
	}
	if len(endpoints) == 0 {
		if m.fleet.greeted() && !m.cfg.follow {
			m.giveUp(now) // there are none
		} else {
			m.failed("no recovery endpoint is known yet", now)
		}
		return
	}
	s.endpoint = endpoints[s.next%len(endpoints)]
	s.number++
	s.id = "r" + strconv.Itoa(s.number)
	s.answered = false
	s.active, s.heard, s.began, s.changes, s.used = true, now, now, 0, message.Credit{}
	s.open, s.sorted, s.initial, s.latest = m.cfg.follow, true, m.complete == 0, m.latest
	s.covers = s.covers[:0]
	for _, p := range m.fleet.publishers {
		if p.lost {
			s.covers = append(s.covers, p)
		}
	}
	if m.spilled {
		m.spilled = false
		m.held.clear()
	}
	s.why, m.wanted = m.wanted, ""
	if s.why == "" {
		s.why = "interrupted"
	}
	m.stats.Requests++
	m.stats.Following = false
	if !m.fleet.greeted() { // it knows the fleet, too
		m.send(message.CommandHello, message.HelloRequest{ID: helloID})
	}
	m.log.Debug("recovery", "why", s.why, "from", m.complete, "endpoint", s.endpoint, "snapshot", s.snapshot)
	if s.snapshot {
		m.send(message.CommandSnapshot, message.SnapshotRequest{ID: s.id, Tables: append([]string{}, m.cfg.tables...), At: s.at, After: s.after, Credit: m.cfg.credit})
		return
	}
	r := message.ReplayRequest{ID: s.id, Topics: m.cfg.topics, From: m.complete.String(), To: message.Now, Credit: m.cfg.credit}
	if s.initial {
		r.From = message.Now
	}
	if s.open {
		r.To = ""
	}
	m.send(message.CommandReplay, r)
}

func (m *machine) send(command string, body any) {
	text, _ := json.Marshal(body) // of these types it never fails
	m.out.requests = append(m.out.requests, request{m.session.endpoint, command, text})
}

// cancel ends the request, if there is one.
func (m *machine) cancel() {
	if m.session.active {
		m.session.active = false
		m.send(message.CommandCancel, message.CancelRequest{ID: m.session.id})
	}
}

const (
	firstPatience = time.Second
	firstRetry    = 50 * time.Millisecond
	lastRetry     = 2 * time.Second
)

// failed lets the request be made again, elsewhere if there is a choice.
func (m *machine) failed(why string, now instant) {
	s := &m.session
	s.active = false
	if s.failures == 0 && s.failing == 0 {
		s.failing = max(now, 1)
	}
	pause := lastRetry
	if s.failures < 6 {
		pause = min(pause, firstRetry<<s.failures)
	}
	s.failures++
	s.next++
	s.retryAt = now + pause
	if m.wanted == "" {
		m.wanted = s.why
	}
	m.stats.Failures++
	level := slog.LevelWarn
	if s.endpoint == "" && s.failures <= 5 { // the first hello is on its way
		level = slog.LevelDebug
	}
	m.log.Log(context.Background(), level, "recovery failed, trying again", "error", why, "endpoint", s.endpoint, "in", pause)
}

// progress notes that the request is answered.
func (m *machine) progress() { m.session.failures, m.session.failing = 0, 0 }

// attend looks after the request: whether it is time to make it again, or to
// give up.
func (m *machine) attend(now instant) {
	s := &m.session
	switch {
	case !s.reached && s.failing != 0 && now-s.failing > m.perseverance() && !m.cfg.follow:
		m.log.Warn("no recovery endpoint answers, or none lets this identity in: what is lost will be told, and cannot be mended", "endpoints", m.endpoints())
		m.cancel()
		m.bar(now)
		m.giveUp(now)
		return
	case s.active && now-s.heard > m.patience():
		m.cancel()
		m.failed("no answer", now)
	case s.active:
		return
	case s.failing != 0 && now-s.failing > m.cfg.giveUp && !m.cfg.follow:
		m.log.Error("nobody answers; going on without what is missing", "from", m.complete)
		m.giveUp(now)
		return
	case s.failing != 0 && now-s.failing > m.cfg.giveUp:
		m.out.err = ErrUnreachable
		return
	}
	if !s.active && now >= s.retryAt {
		m.request(now)
	}
}

// perseverance is how long to try. If nobody has answered ever, and nothing is
// wanted from before the start, that is not long: maybe nobody will.
func (m *machine) perseverance() instant {
	if m.session.reached || m.session.demanded {
		return m.cfg.giveUp
	}
	return m.cfg.unheard
}

// patience is how long an answer may take: at first not long, since nobody may be
// there, and another one may.
func (m *machine) patience() instant {
	s := &m.session
	if s.answered {
		return m.cfg.answering
	}
	return min(m.cfg.answering, firstPatience<<min(s.failures, 10))
}

// unreachable is told when a publisher ends: its recovery endpoint does, too.
func (m *machine) unreachable(p *publisher, now instant) {
	if m.session.active && slices.Contains(m.fleet.endpointsOf(p.epoch).Recover, m.session.endpoint) && !slices.Contains(m.cfg.recover, m.session.endpoint) {
		m.failed("the replica has ended", now)
	}
}

// giveUp goes on without what cannot be recovered, and tells of it if there can
// be anything.
func (m *machine) giveUp(now instant) {
	s := &m.session
	if m.lost > 0 || s.demanded || m.complete != 0 && (s.failures > 0 || isDoubt(m.wanted)) {
		m.gap(Gap{Cause: Unrecovered, From: m.complete.time(), Lost: m.lost})
	}
	s.active, s.snapshot, s.demanded, m.wanted = false, false, false, ""
	m.progress()
	for _, p := range m.fleet.publishers {
		if p.lost {
			s.covers = append(s.covers, p)
		}
	}
	m.spilled, m.waived = false, m.latest
	m.flow(now)
}

// isDoubt tells whether something may have been lost if that is why a replay is
// wanted, though no counter says so.
func isDoubt(why string) bool {
	switch why {
	case "new publisher", "missed publisher", "lost publisher", "silent publisher", "first contact", "full buffer":
		return true
	}
	return false
}

// flow lets changes through again, those that were held first.
func (m *machine) flow(now instant) {
	for _, p := range m.session.covers {
		if p.lost && m.fleet.publishers[p.epoch] == p {
			m.fleet.depart(p, false)
		}
	}
	m.session.covers = nil
	m.mode, m.lost, m.fleet.polled = flowing, 0, now
	m.relist(now)
	m.out.disconnect = append(m.out.disconnect, m.fleet.unused()...)
	m.out.lived = true
	m.session.demanded = false
	if m.session.floor == 0 {
		m.session.floor = m.complete
	}
}
