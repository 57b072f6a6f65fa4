package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spancast/spancast/message"
)

// A sighting is a publication with the time and the right by which it was made.
type sighting struct {
	publication
	act
	publisher string
}

// A checker holds what was published against what was committed. It goes by the
// time at which replicas published, as their logs have it, and not by that of
// arrival: between two connections there is no order.
type checker struct {
	writes  map[identity]*fate
	latest  map[string]*fate        // by row, the newest that was published
	newest  map[string]int64        // by partition, of the latest epoch that published
	owners  map[ownershipKey]string // who published by an epoch
	faults  []string
	missing map[*fate]bool
	placed  int

	Committed, Published, Duplicates, Late int
}

// A fate is what became of a write.
type fate struct {
	*write
	place   int // among the writes of its row
	version message.Version
	times   int
}

type ownershipKey struct {
	partition string
	epoch     int64
}

func newChecker() *checker {
	return &checker{writes: make(map[identity]*fate), latest: make(map[string]*fate), newest: make(map[string]int64), owners: make(map[ownershipKey]string), missing: make(map[*fate]bool)}
}

// maxFaults is how many faults are told in full.
const maxFaults = 20

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	} else if len(c.faults) == maxFaults {
		c.faults = append(c.faults, "and more")
	}
}

// commit notes writes, those of a row in order.
func (c *checker) commit(writes []*write) {
	for _, w := range writes {
		c.placed++
		f := &fate{write: w, place: c.placed}
		c.writes[w.identity] = f
		if !w.maybe {
			c.Committed++
			c.missing[f] = true
		}
	}
}

// publish judges what was published. Nothing that was published before may come
// in a later call.
func (c *checker) publish(all []sighting) {
	slices.SortStableFunc(all, func(a, b sighting) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.publisher, b.publisher), cmp.Compare(a.counter, b.counter))
	})
	for i := range all {
		c.judge(&all[i])
	}
}

func (c *checker) judge(s *sighting) {
	f := c.writes[s.id]
	if f == nil || f.row != s.row {
		c.fault("invented: %s, %s of row %s, was never committed", describe(s), s.id.op, s.row)
		return
	}
	c.Published++
	late := c.right(s)
	if f.times++; f.times > 1 {
		c.Duplicates++
		if late {
			c.Late++
		}
		if f.version != s.version {
			c.fault("two names: %s %d of row %s was published as %s and as %s", s.id.op, s.id.number, s.row, f.version, s.version)
		}
		return
	}
	f.version = s.version
	delete(c.missing, f)
	if late {
		c.fault("two owners: %s was published first by one whose epoch was over: %d had published that partition already", describe(s), c.newest[s.partition])
	}
	c.step(f, s)
}

// right checks by which right something was published, and tells whether that
// was over: a later owner of the partition had begun to publish.
func (c *checker) right(s *sighting) (late bool) {
	key := ownershipKey{s.partition, s.epoch()}
	if by, known := c.owners[key]; known && by != s.publisher {
		c.fault("two owners: partition %s in epoch %d was published by %s and by %s", s.partition, s.epoch(), by, s.publisher)
	}
	c.owners[key] = s.publisher
	newest := c.newest[s.partition]
	c.newest[s.partition] = max(newest, s.epoch())
	return s.epoch() < newest
}

// step checks that a row's changes come in order.
func (c *checker) step(f *fate, s *sighting) {
	if last := c.latest[s.row]; last != nil {
		switch {
		case last.place > f.place:
			c.fault("stepped back: %s of row %s came after %s, which was committed later", describe(s), s.row, last.version)
		case last.version.Compare(f.version) >= 0:
			c.fault("versions do not order: row %s had %s, then %s", s.row, last.version, f.version)
		}
	}
	c.latest[s.row] = f
}

// complete says what was committed and never published.
func (c *checker) complete() {
	lost := make([]*fate, 0, len(c.missing))
	for f := range c.missing {
		lost = append(lost, f)
	}
	slices.SortFunc(lost, func(a, b *fate) int { return a.place - b.place })
	for _, f := range lost {
		c.fault("skipped: %s %d of row %s was committed and never published", f.op, f.number, f.row)
	}
}

func describe(s *sighting) string {
	return fmt.Sprintf("%s (published at %s by %s for partition %s in epoch %d)", s.version, s.at.Format("15:04:05.000000"), s.publisher, s.partition, s.epoch())
}

func (s *sighting) epoch() int64 { return s.act.epoch }

// percentile of durations; 0 without any.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
