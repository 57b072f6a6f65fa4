package publisher

import (
	"slices"
	"strings"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/topics"
)

// A coverage says which topics each audience sees. It does not change; new
// topics make a new one.
type coverage struct {
	audiences [][]string // prefixes, in the order of the outlets
	all       bool       // somebody sees everything
}

func newCoverage(audiences [][]string) *coverage {
	c := &coverage{audiences: audiences}
	for _, prefixes := range audiences {
		c.all = c.all || slices.Contains(prefixes, "")
	}
	return c
}

// any tells whether some audience may see messages of a route.
func (c *coverage) any(r *topics.Route) bool {
	return c.all || slices.ContainsFunc(c.audiences, func(prefixes []string) bool { return covers(prefixes, r) != none })
}

// A cover is how much of a route an audience sees.
type cover int

const (
	none cover = iota
	some       // it depends on the row
	all
)

// covers tells how much of a route is under prefixes.
func covers(prefixes []string, r *topics.Route) cover {
	level, static := r.Static()
	if access.Covers(prefixes, level) {
		return all
	}
	if !static && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(p, level) }) {
		return some
	}
	return none
}

// SetTopics replaces the topics that an audience sees. Those that it sees from
// now on begin with what is read from now on.
func (p *Publisher) SetTopics(audience string, prefixes []string) {
	p.covering.Lock()
	defer p.covering.Unlock()
	now := p.coverage.Load()
	next := slices.Clone(now.audiences)
	for i, o := range p.outlets {
		if o.audience.Name == audience {
			next[i] = slices.Clone(prefixes)
		}
	}
	if !slices.EqualFunc(next, now.audiences, slices.Equal[[]string]) {
		p.coverage.Store(newCoverage(next))
	}
}
