package subscriber

import "slices"

// patrol looks after the publishers: it connects to those that are listed and
// were not heard, asks those that are quiet, and gives up those that are gone.
func (m *machine) patrol(now instant) {
	for epoch, miss := range m.fleet.missing {
		m.meet(epoch, miss, now)
	}
	absent := len(m.fleet.publishers) == 0 || m.absentFor(now) > m.cfg.silence
	stale := false
	for _, p := range m.fleet.publishers {
		quiet := now - p.heard
		stale = stale || quiet > m.cfg.silence/2 || !p.greeted
		for i := range p.levels {
			stale = stale || now-p.levels[i].verified > m.cfg.silence/2
		}
		if quiet > m.cfg.silence/2 && !p.lost && m.isReplaced(p) {
			m.lose(p, now)
		}
		if quiet <= m.cfg.silence || p.lost {
			continue
		}
		absent = true
		if m.isForgotten(p, now) {
			m.lose(p, now)
		}
	}
	if stale && now-m.fleet.pinged > m.cfg.silence/2 {
		m.fleet.pinged = now
		m.out.ping = true
	}
	// What a publisher that cannot be heard publishes comes by replays.
	if absent && m.mode == flowing && now-m.fleet.polled > m.cfg.silence && m.canRecover(now) {
		m.want("silent publisher", now)
	}
}

// meetAfter is how long a listed publisher has to be heard over a connection that
// there is, before one is made to where it is listed.
const meetAfter = 200e6

func (m *machine) meet(epoch string, miss *missing, now instant) {
	publish := m.fleet.listed[epoch].Publish
	if miss.connected || now-miss.since < meetAfter || len(publish) == 0 {
		return
	}
	miss.connected = true
	if endpoint := publish[0]; !m.fleet.asked[endpoint] && !slices.Contains(m.cfg.connect, endpoint) {
		m.fleet.asked[endpoint] = true
		m.out.connect = append(m.out.connect, endpoint)
	}
}

// absentFor is how long the longest missing publisher has been missing.
func (m *machine) absentFor(now instant) (longest instant) {
	for _, miss := range m.fleet.missing {
		longest = max(longest, now-miss.since)
	}
	return longest
}

// isReplaced tells whether another publisher that was heard since has the place
// where a silent one was listed.
func (m *machine) isReplaced(p *publisher) bool {
	place := m.fleet.listed[p.epoch].Publish
	for epoch, other := range m.fleet.publishers {
		its := m.fleet.listed[epoch].Publish
		if other != p && other.heard > p.heard && len(place) > 0 && len(its) > 0 && place[0] == its[0] {
			return true
		}
	}
	return false
}

// isForgotten tells whether those that can be heard do not list a silent
// publisher any more; one that is alone is not forgotten.
func (m *machine) isForgotten(p *publisher, now instant) bool {
	witnesses := 0
	for _, other := range m.fleet.publishers {
		if other == p || other.lost || !other.greeted || now-other.heard > m.cfg.silence {
			continue
		}
		witnesses++
		for _, e := range other.endpoints {
			if e.Epoch == p.epoch {
				return false
			}
		}
	}
	return witnesses > 0
}

// assembled tells whether all publishers are known, so that a replay can begin;
// or none can be expected to be before long.
func (m *machine) assembled(now instant) bool {
	if now > m.cfg.joining && (m.canRecover(now) || m.fleet.greeted()) {
		return true
	}
	if len(m.fleet.missing) > 0 || !m.fleet.greeted() {
		return false
	}
	for _, p := range m.fleet.publishers {
		if !p.greeted {
			return false
		}
		for i := range p.levels {
			if !p.levels[i].known {
				return false
			}
		}
	}
	return true
}
