package subscriber

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spancast/spancast/message"
)

// An instant is a time of the local monotonic clock, counted from some start.
type instant = time.Duration

// A machine is what a subscriber knows, and decides. It has no socket, clock or
// goroutine: messages, answers and the time go in, changes to be handed on and
// things to be done come out.
//
//	live, answer, tick   an input; then
//	next, done           until there is nothing more: a change, and that it was handled; then
//	take                 what is to be done
//
// What it holds to be true, and keeps so:
//
//   - Every change with a commit timestamp before complete was handed on.
//   - seen are those that were handed on beyond it. So what comes is a duplicate
//     if it is before complete or in seen, and no other is.
//   - While it flows, every publisher that is known has been received without a
//     hole, from its beginning or from before the last replay began.
//   - The changes of a partition that was another publisher's until T are handed
//     on when complete has reached T.
//
// complete goes on by the resolved messages: what everybody in the fleet says of
// the fleet, as long as all of them are received without a hole. Whenever
// anything is amiss, one thing is done: what is published is held back, and a
// replay is asked for from complete to now. At its end complete is that now, and
// everything that was lost is before it.
type machine struct {
	cfg    config
	log    *slog.Logger
	stamps stampReader
	names  topics

	mode     mode
	complete stamp // 0 while it is not known
	seen     *seen
	latest   stamp // of everything that was published, as far as it came

	ready   Change // to be handed on
	isReady bool
	held    queue // what came while it could not be handed on
	spilled bool  // held was full; what comes is left to a replay

	fleet   fleet
	wanted  string // why a replay is to begin, if one is
	lost    uint64 // changes that the counters miss since the last replay began
	session session
	skips   map[message.GapBody]bool // that were told
	waived  stamp                    // nothing before is waited for any more
	handled stamp                    // commit timestamp of what was handled last
	stats   Stats
	out     effects
}

// mode is what is done with changes that are published.
type mode uint8

const (
	starting   mode = iota // held back until the publishers have answered
	recovering             // held back until the replay has ended
	flowing                // handed on
)

// effects are what the owner of the sockets is to do.
type effects struct {
	requests   []request
	connect    []string
	disconnect []string
	ping       bool // ask all publishers for resolved messages and a hello
	gaps       []Gap
	lived      bool  // it flows again
	err        error // it cannot go on
}

// config is what a machine needs of Options.
type config struct {
	topics   []string
	levels   []level
	filter   filter
	follow   bool
	tables   []string // of a snapshot
	snapshot bool
	resumed  bool     // from a cursor
	connect  []string // connected from the start, for ever
	recover  []string
	hold     int64 // bytes of held
	remember int   // versions of seen
	credit   message.Credit

	joining, silence, answering, giveUp instant
	unheard                             instant // how long somebody is asked at first who has never answered
}

func newMachine(cfg config, from Position, log *slog.Logger) *machine {
	m := &machine{cfg: cfg, log: log, seen: newSeen(), complete: stampOf(from.Complete)}
	m.fleet = newFleet()
	m.session.snapshot = cfg.snapshot && from.IsZero()
	m.session.demanded = !from.IsZero() || cfg.snapshot
	for _, h := range from.hashes {
		m.seen.add(h, max(from.latest, m.complete))
	}
	m.wanted = "start"
	return m
}

// live takes a message of the SUB socket. The frames are the machine's.
func (m *machine) live(topic, header, body []byte, now instant) {
	if level, kind, ok := message.Control(string(topic)); ok {
		m.control(level, kind, header, body, now)
		return
	}
	c := Change{Body: body}
	if !c.read(header, &m.stamps) {
		m.malformed(string(topic))
		return
	}
	if m.cfg.follow {
		return
	}
	i := m.levelOf(topic)
	if i < 0 {
		return
	}
	if !m.counted(&c, i, string(topic), now) {
		m.stats.Duplicates++
		return
	}
	c.Topic = m.names.of(topic)
	if !m.cfg.filter.wants(c.Topic) {
		return
	}
	m.latest = max(m.latest, c.at)
	if m.mode == flowing && m.held.len() == 0 {
		m.admit(&c, now)
	} else {
		m.hold(&c)
	}
}

// levelOf is the level that a topic is under, of which there is at most one.
func (m *machine) levelOf(topic []byte) int {
	for i := range m.cfg.levels {
		if p := m.cfg.levels[i].prefix; len(topic) >= len(p) && string(topic[:len(p)]) == p {
			return i
		}
	}
	return -1
}

// counted looks at the counter of a change and tells whether the change is new:
// over a second connection to a publisher everything comes twice.
func (m *machine) counted(c *Change, i int, topic string, now instant) (isNew bool) {
	l := &m.cfg.levels[i]
	n, ok := c.Header.Counter(l.depth)
	if !ok {
		m.out.err = fmt.Errorf("%w: %q of topic %q", ErrUncounted, l.prefix, topic)
		return false
	}
	p := m.publisher(c.Header.Epoch, now)
	if p == nil {
		return false
	}
	at := &p.levels[i]
	switch {
	case !at.known:
		m.joined(p, n-1, now)
	case n <= at.last:
		return false
	case n > at.last+1:
		m.hole(p, l, n-1-at.last, now)
	}
	at.known, at.last, at.root = true, n, n
	if l.depth > 0 {
		at.root, _ = c.Header.Counter(0)
	}
	return true
}

// hole notes that changes are missing.
func (m *machine) hole(p *publisher, l *level, n uint64, now instant) {
	m.stats.Gaps++
	m.stats.Lost += n
	m.lost += n
	m.log.Debug("messages were lost", "level", l.prefix, "epoch", p.epoch, "changes", n)
	m.want("lost messages", now)
}

// joined notes that a publisher is known from now on. What it has published
// before is not.
func (m *machine) joined(p *publisher, before uint64, now instant) {
	if before > 0 {
		m.want("new publisher", now)
	}
}

func (m *machine) malformed(topic string) {
	m.stats.Malformed++
	m.log.Warn("a message that is not Spancast's", "topic", topic)
}

// hold keeps a change for later, within the limit.
func (m *machine) hold(c *Change) {
	if m.spilled {
		return
	}
	if m.held.push(c); m.held.bytes > m.cfg.hold {
		m.held.clear()
		m.spilled = true
		m.stats.Spills++
		m.wanted = "full buffer"
	}
}

// admit hands a change on, unless it was before, or must wait for what another
// publisher has published. It tells whether it is dealt with.
func (m *machine) admit(c *Change, now instant) bool {
	if c.at < m.complete || m.seen.has(c.hash) {
		m.stats.Duplicates++
		return true
	}
	if t := c.moved(&m.stamps); t > max(m.complete, m.waived) && m.canRecover(now) {
		m.want("moved partition", now)
		m.held.unshift(c)
		return false
	}
	if m.seen.count >= m.cfg.remember && m.canRecover(now) {
		m.want("too many changes beyond the resolved time", now)
		m.held.unshift(c)
		return false
	}
	m.ready, m.isReady = *c, true
	return true
}

// next returns the next change to be handed on, nil when there is none.
func (m *machine) next(now instant) *Change {
	for !m.isReady && m.mode == flowing && m.held.len() > 0 {
		c := m.held.pop()
		m.admit(&c, now)
	}
	if !m.isReady {
		return nil
	}
	return &m.ready
}

// done says that the change was handled.
func (m *machine) done() {
	c := &m.ready
	m.isReady = false
	m.stats.Changes++
	switch c.Origin {
	case Snapshot:
		m.session.after = string(c.Header.Version)
		m.stats.Snapshot++
		return
	case Replay:
		m.stats.Replayed++
	}
	m.handled = c.at
	if !m.seen.has(c.hash) {
		m.seen.add(c.hash, c.at)
	}
	if m.seen.count > m.cfg.remember && m.mode == flowing && (m.session.barred != 0 || len(m.endpoints()) == 0) { // no replay can help
		m.seen.forget()
	}
}

// idle tells whether nothing is to be done.
func (m *machine) idle() bool {
	o := &m.out
	return len(o.requests)+len(o.connect)+len(o.disconnect)+len(o.gaps) == 0 && !o.ping && !o.lived && o.err == nil
}

// take returns what is to be done, and forgets it.
func (m *machine) take() effects {
	out := m.out
	m.out = effects{}
	return out
}

// position is what was handled; not ok while there is nothing to go on from.
func (m *machine) position() (p Position, ok bool) {
	if m.complete == 0 || m.session.snapshot {
		return p, false
	}
	hashes, latest := m.seen.hashes(m.complete)
	return Position{Complete: m.complete.time(), hashes: hashes, latest: latest}, true
}

// advance moves complete to what the whole fleet has published, if everything
// that it has published has come.
func (m *machine) advance() {
	if m.mode != flowing || m.wanted != "" || m.isReady || m.held.len() > 0 {
		return
	}
	m.reach(m.fleet.resolved())
}

// reach moves complete on.
func (m *machine) reach(t stamp) {
	if t > m.complete {
		m.complete = t
		m.seen.evict(t)
	}
}

// want says that a replay is needed.
func (m *machine) want(why string, now instant) {
	m.wanted = why
	if m.mode == flowing {
		m.mode = recovering
		m.request(now)
	}
}

// tick looks what is due.
func (m *machine) tick(now instant) {
	m.patrol(now)
	switch m.mode {
	case starting:
		if m.cfg.follow || m.assembled(now) {
			m.mode = recovering
			m.request(now)
		}
	case recovering:
		m.attend(now)
	}
	m.advance()
}

// state is the counters, and how things stand.
func (m *machine) state() Stats {
	s := m.stats
	s.Live, s.Unrecoverable = m.mode == flowing, m.session.barred != 0
	if s.Why = m.session.why; s.Live || s.Following {
		s.Why = ""
	}
	s.Resolved, s.LatestChange = m.complete.time(), m.handled.time()
	s.Publishers, s.Held, s.Remembered = len(m.fleet.publishers), m.held.bytes, m.seen.count
	return s
}
