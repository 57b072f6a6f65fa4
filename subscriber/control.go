package subscriber

import (
	"encoding/json"

	"github.com/spancast/spancast/message"
)

// publisher returns what is known of an epoch, and notes that it was heard. It
// is nil for one that has said goodbye: that comes over a second connection.
func (m *machine) publisher(epoch []byte, now instant) *publisher {
	f := &m.fleet
	if p := f.last; p != nil && !p.lost && p.epoch == string(epoch) {
		p.heard = now
		return p
	}
	p := f.publishers[string(epoch)]
	if p == nil {
		if f.departed[string(epoch)] {
			return nil
		}
		p = &publisher{epoch: string(epoch), levels: make([]levelState, len(m.cfg.levels))}
		f.publishers[p.epoch] = p
		delete(f.departed, p.epoch)
		delete(f.missing, p.epoch)
		m.stats.Epochs++
		m.log.Debug("a publisher is heard", "epoch", p.epoch)
	}
	f.last, p.heard = p, now
	if p.lost { // it was not
		p.lost = false
		m.relist(now)
	}
	return p
}

// control takes a control message.
func (m *machine) control(level, kind string, header, body []byte, now instant) {
	h, err := message.ParseHeader(header)
	if err != nil {
		m.malformed(level + kind)
		return
	}
	switch kind {
	case message.Resolved, message.Hello, message.Bye, message.Gap:
	default:
		return
	}
	p := m.publisher(h.Epoch, now)
	if p == nil {
		return
	}
	switch kind {
	case message.Resolved:
		m.resolved(p, level, h, body, now)
	case message.Hello:
		m.hello(p, body, now)
	case message.Bye:
		m.bye(p, body, now)
	case message.Gap:
		m.skipped(body)
	}
}

// resolved compares what a publisher says of a level with what has come.
func (m *machine) resolved(p *publisher, prefix string, h message.Header, text []byte, now instant) {
	var body message.ResolvedBody
	if json.Unmarshal(text, &body) != nil {
		m.malformed(prefix + message.Resolved)
		return
	}
	root, ok := h.Counter(0)
	if !ok {
		return
	}
	// What the fleet has published counts if its publishers are known.
	fleet := stamp(0)
	if body.Directory == "" || body.Directory == p.directory {
		fleet, _ = parseStamp(body.Fleet)
	} else {
		p.greeted = false // there must be another hello, which has not come
	}
	for i := range m.cfg.levels {
		l, at := &m.cfg.levels[i], &p.levels[i]
		if l.prefix == prefix {
			n, ok := h.Counter(l.depth)
			if !ok || at.known && n < at.last {
				continue // from before, over a second connection
			}
			if !at.known {
				m.joined(p, n, now)
			} else if n > at.last {
				m.hole(p, l, n-at.last, now)
			}
			at.known, at.last, at.root = true, n, root
		} else if prefix != "" || !at.known || at.root != root {
			continue // says nothing of this level; or nothing was published anywhere
		}
		at.fleet, at.verified = max(at.fleet, fleet), now
	}
	m.advance()
}

// hello learns who publishes.
func (m *machine) hello(p *publisher, text []byte, now instant) {
	var body message.HelloBody
	if json.Unmarshal(text, &body) != nil {
		m.malformed(message.Hello)
		return
	}
	p.known, p.greeted, p.directory, p.endpoints = true, true, body.Directory(), body.Endpoints
	m.relist(now)
	m.endpoints() // to remember them
	m.succeed(append(body.Former, body.Ended...), now)
}

// succeed looks whether there was a publisher that was never heard: one that a
// witness has seen, or one before the first witness.
func (m *machine) succeed(former []string, now instant) {
	f := &m.fleet
	if !f.witnessed {
		f.witnessed = true
		m.want("first contact", now)
	}
	for _, epoch := range former {
		if _, gone := f.departed[epoch]; gone || f.publishers[epoch] != nil {
			continue
		}
		f.depart(&publisher{epoch: epoch}, false)
		m.want("missed publisher", now)
	}
}

// relist gathers what the hellos say. One that was listed and has gone before it
// was heard may have published: whoever listed it may be gone, too, and nobody
// else has seen it.
func (m *machine) relist(now instant) {
	m.fleet.relist(now)
	if m.fleet.missed {
		m.fleet.missed = false
		m.want("missed publisher", now)
	}
}

// told learns from a recovery endpoint who publishes.
func (m *machine) told(text []byte, now instant) {
	var body message.HelloBody
	if json.Unmarshal(text, &body) != nil {
		m.malformed(message.Hello)
		return
	}
	m.fleet.told = body.Endpoints
	m.relist(now)
}

// bye takes leave of a publisher that has ended.
func (m *machine) bye(p *publisher, text []byte, now instant) {
	var body message.ByeBody
	if json.Unmarshal(text, &body) != nil {
		m.malformed(message.Bye)
		return
	}
	complete := true
	for i := range m.cfg.levels {
		l, at := &m.cfg.levels[i], &p.levels[i]
		n := body.Counters[l.prefix]
		if at.known && n > at.last {
			m.hole(p, l, n-at.last, now)
		}
		complete = complete && (at.last >= n)
	}
	m.log.Debug("a publisher has ended", "epoch", p.epoch, "complete", complete)
	m.unreachable(p, now)
	if !complete {
		m.lose(p, now)
		return
	}
	m.fleet.depart(p, true)
	m.relist(now)
	m.out.disconnect = append(m.out.disconnect, m.fleet.unused()...)
	m.advance()
}

// lose notes that a publisher is gone, and that what it published last may not
// have come. It counts until a replay has brought that.
func (m *machine) lose(p *publisher, now instant) {
	p.lost = true
	m.fleet.witnessed = m.fleet.witnessed && m.fleet.witness()
	m.log.Debug("a publisher is gone", "epoch", p.epoch)
	m.unreachable(p, now)
	m.relist(now)
	m.want("lost publisher", now)
}

// maxSkips bounds the announced gaps that are remembered, so that each is told
// once.
const maxSkips = 1000

// skipped passes on that the service had to leave something out.
func (m *machine) skipped(text []byte) {
	var body message.GapBody
	if json.Unmarshal(text, &body) != nil {
		m.malformed(message.Gap)
		return
	}
	if m.skips[body] {
		return
	}
	if len(m.skips) >= maxSkips || m.skips == nil {
		m.skips = make(map[message.GapBody]bool)
	}
	m.skips[body] = true
	from, _ := parseStamp(body.From)
	to, _ := parseStamp(body.To)
	if to != 0 && to <= m.session.floor {
		return // was before this subscriber's time
	}
	m.gap(Gap{Cause: Skipped, From: from.time(), To: to.time(), Partition: body.Partition})
}

// gap passes on what cannot be recovered.
func (m *machine) gap(g Gap) {
	m.stats.Unrecovered++
	m.out.gaps = append(m.out.gaps, g)
}
