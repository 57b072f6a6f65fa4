package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A report counts events and measures how long partitions were not published
// after their owner had gone.
type report struct {
	events  map[string]int
	waiting []departure
	took    map[string][]time.Duration // by how the owner went
	worst   map[string][]time.Duration // of all partitions of one owner, the last
	silent  int                        // partitions that ended, or had nothing to publish
}

// A departure is a partition whose owner went at some time.
type departure struct {
	how       string
	at        time.Time
	partition string
	epoch     int64
}

func newReport() report {
	return report{events: make(map[string]int), took: make(map[string][]time.Duration), worst: make(map[string][]time.Duration)}
}

// failovers looks for the first publication of what was left behind.
func (r *report) failovers(journals []*journal) {
	for _, d := range r.waiting {
		first, ok := firstOf(journals, d.partition, d.epoch)
		if !ok {
			r.silent++
		} else {
			r.took[d.how] = append(r.took[d.how], first.Sub(d.at))
		}
	}
	r.waiting = nil
}

// firstOf is when a partition was published first by an epoch after another.
func firstOf(journals []*journal, partition string, after int64) (first time.Time, ok bool) {
	for _, j := range journals {
		if at, found := j.published(partition, after); found && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	return first, ok
}

func (r *report) String() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.events)) {
		fmt.Fprintf(&out, "%6d %s\n", r.events[name], name)
	}
	for _, how := range slices.Sorted(maps.Keys(r.took)) {
		all := r.took[how]
		fmt.Fprintf(&out, "%s: %d partitions published again after median %s, p99 %s, longest %s\n", how, len(all),
			percentile(all, 0.5).Round(time.Millisecond), percentile(all, 0.99).Round(time.Millisecond), slices.Max(all).Round(time.Millisecond))
	}
	return out.String()
}
