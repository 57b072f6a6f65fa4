package subscriber

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spancast/spancast/message"
)

// A level is a topic prefix that is subscribed to and whose counters are watched.
type level struct {
	prefix string
	depth  int // its place in the counters
}

// levelsOf returns the levels to be watched for the topics that are wanted: the
// topics themselves, but for those that begin with the same segment. Of these
// it is the level that they have in common, since changes of one key can be
// under several of them (an insert, then an update), and one that was lost must
// be noticed before the next is handed on.
func levelsOf(topics []string) ([]level, error) {
	var faults []error
	groups := make(map[string]string)
	for _, t := range topics {
		if _, ok := message.Level(t); !ok {
			faults = append(faults, fmt.Errorf("topic %q does not end in /: it would match other names that begin like it, and losses could not be told", t))
			continue
		}
		first := t[:strings.IndexByte(t, '/')+1]
		if common, ok := groups[first]; ok {
			t = commonLevel(common, t)
		}
		groups[first] = t
	}
	if _, everything := groups[""]; everything {
		groups = map[string]string{"": ""}
	}
	var levels []level
	for _, prefix := range groups {
		depth, _ := message.Level(prefix)
		levels = append(levels, level{prefix, depth})
	}
	slices.SortFunc(levels, func(a, b level) int { return strings.Compare(a.prefix, b.prefix) })
	return levels, errors.Join(faults...)
}

// commonLevel is the longest level that is above both, or one of them.
func commonLevel(a, b string) string {
	end := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '/' {
			end = i + 1
		}
	}
	return a[:end]
}

// A filter tells which topics are wanted of those that the levels bring.
type filter []string

// filterOf returns nothing when all of them are.
func filterOf(topics []string, levels []level) filter {
	for _, t := range topics {
		if !slices.ContainsFunc(levels, func(l level) bool { return l.prefix == t }) {
			return filter(slices.Clone(topics))
		}
	}
	return nil
}

func (f filter) wants(topic string) bool {
	if f == nil {
		return true
	}
	for _, prefix := range f {
		if strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return false
}
