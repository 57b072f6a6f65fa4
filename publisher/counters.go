package publisher

import (
	"strings"

	"github.com/spancast/spancast/topics"
)

// counters are the levels of the topic tree that are counted, from the root
// down, each with the number of changes under it in this epoch. There are as
// many as tables, operations and templates make, not as rows.
type counters struct {
	levels map[string]*level
	moved  []*level // that counted since they were last reported
}

type level struct {
	prefix string
	count  uint64
	moved  bool
	path   []*level // from the root to this one
}

func newCounters() *counters {
	c := &counters{levels: make(map[string]*level)}
	c.level("")
	return c
}

// level returns a level, and makes it and those above when they are new.
func (c *counters) level(prefix string) *level {
	if l := c.levels[prefix]; l != nil {
		return l
	}
	l := &level{prefix: prefix}
	if prefix != "" {
		l.path = append(l.path, c.level(parent(prefix)).path...)
	}
	l.path = append(l.path, l)
	c.levels[prefix] = l
	return l
}

// parent is the level above; prefix is not empty and ends in '/'.
func parent(prefix string) string {
	return prefix[:strings.LastIndexByte(prefix[:len(prefix)-1], '/')+1]
}

// of returns the levels that a message of the route counts in.
func (c *counters) of(r *topics.Route) []*level {
	return c.level(r.Levels[len(r.Levels)-1]).path
}

// count counts one message in the levels of a path and appends their counters.
func (c *counters) count(dst []uint64, path []*level) []uint64 {
	for _, l := range path {
		l.count++
		if !l.moved {
			l.moved = true
			c.moved = append(c.moved, l)
		}
		dst = append(dst, l.count)
	}
	return dst
}

// uncount takes back what count has counted, of a message that was not sent.
func (c *counters) uncount(path []*level) {
	for _, l := range path {
		l.count--
	}
}

// read appends the counters of a prefix as they stand. Levels that were never
// counted in are 0, and are not kept: anybody can ask for any.
func (c *counters) read(dst []uint64, prefix string) []uint64 {
	dst = append(dst, c.levels[""].count)
	for i := range len(prefix) {
		if prefix[i] != '/' {
			continue
		}
		n := uint64(0)
		if l := c.levels[prefix[:i+1]]; l != nil {
			n = l.count
		}
		dst = append(dst, n)
	}
	return dst
}

// takeMoved returns the levels that counted since the last call.
func (c *counters) takeMoved() []*level {
	moved := c.moved
	c.moved = nil
	for _, l := range moved {
		l.moved = false
	}
	return moved
}
