package publisher

import (
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

func TestLineage_TellsWhatOthersPublishedBefore(t *testing.T) {
	l, now := new(lineage), time.Now()
	second := func(s int) time.Time { return time.Date(2026, 11, 20, 9, 54, s, 0, time.UTC) }
	begin := func(token changestream.PartitionToken, epoch int64, position int, parents ...changestream.PartitionToken) string {
		return l.begin(changestream.Partition{Token: token, Epoch: epoch, Position: second(position), Parents: parents}, now).moved
	}
	const at1, at5, at7, at9 = "2026-11-20T09:54:01.000000000Z", "2026-11-20T09:54:05.000000000Z", "2026-11-20T09:54:07.000000000Z", "2026-11-20T09:54:09.000000000Z"
	for _, c := range []struct{ what, got, want string }{
		{"a root, which may be the descendant of another's", begin("root", 1, 1), at1},
		{"a partition that others had before", begin("taken", 3, 5), at5},
		{"the same under the same lease, read on after trouble", begin("taken", 3, 6), at5},
		{"the same under the next lease: nobody had it in between", begin("taken", 4, 6), at5},
		{"the same after somebody else had it", begin("taken", 6, 7), at7},
		{"a child of one that is not published to its end here", begin("early", 1, 9, "taken"), at9},
	} {
		if c.got != c.want {
			t.Errorf("%s: moved %q, want %q", c.what, c.got, c.want)
		}
	}
	l.ended("taken")
	l.ended("root")
	if got := begin("child", 1, 9, "root", "taken"); got != at7 {
		t.Errorf("a child of own parents: moved %q, want that of the parents, %s", got, at7)
	}
	if got := begin("other", 1, 9, "root", "unknown"); got != at9 {
		t.Errorf("a child of one that another published: moved %q, want its start %s", got, at9)
	}
	if got := begin("late", 2, 9, "root"); got != at9 {
		t.Errorf("a child that another had before: moved %q, want its position %s", got, at9)
	}
}

// Where keys move between partitions that live on, what counts is who has
// published the partitions that gave them, up to the move.
func TestLineage_TellsOfKeysThatMoveIn(t *testing.T) {
	now := time.Now()
	second := func(s int) time.Time { return time.Date(2026, 11, 20, 9, 54, s, 0, time.UTC) }
	const at1, behind5, behind7 = "2026-11-20T09:54:01.000000000Z", "2026-11-20T09:54:05.000000001Z", "2026-11-20T09:54:07.000000001Z"
	type tokens = []changestream.PartitionToken
	for _, c := range []struct {
		what, want string
		began      int // when the partition that keys move into began
		sources    tokens
		at         int
	}{
		{"from an own partition", at1, 2, tokens{"own"}, 5},
		{"from an own partition, to a new one: it has no keys but these", at1, 5, tokens{"own"}, 5},
		{"the own partition gave others keys since", at1, 2, tokens{"own"}, 4},
		{"the own partition is not published up to there here", behind7, 2, tokens{"own"}, 7},
		{"from one that ended here", at1, 2, tokens{"ended"}, 7},
		{"from one that another publishes", behind5, 2, tokens{"unknown"}, 5},
		{"the same, to a new one", behind5, 5, tokens{"unknown"}, 5},
		{"from both", behind5, 5, tokens{"own", "unknown"}, 5},
	} {
		l := new(lineage)
		begin := func(token changestream.PartitionToken, position int, parents ...changestream.PartitionToken) holding {
			return l.begin(changestream.Partition{Token: token, Epoch: 1, Position: second(position), Parents: parents}, now)
		}
		begin("own", 1) // another's before 1
		begin("ended", 1)
		l.left("own", second(5))
		l.ended("ended")
		h := begin("it", c.began, "own")
		if c.began == 2 { // a move before, which told whose keys it began with
			l.left("own", second(5))
			h = l.movedIn("it", h, second(2), tokens{"own"}, now)
		}
		h = l.movedIn("it", h, second(c.at), c.sources, now)
		if h.moved != c.want {
			t.Errorf("%s: moved %q, want %q", c.what, h.moved, c.want)
		}
		if next := l.movedIn("next", begin("next", 9, "it"), second(9), tokens{"it"}, now); next.moved != "2026-11-20T09:54:09.000000001Z" {
			t.Errorf("%s: from there on, not published up to the move: moved %q", c.what, next.moved)
		}
		l.left("it", second(9))
		if next := l.movedIn("last", begin("last", 9, "it"), second(9), tokens{"it"}, now); next.moved != c.want {
			t.Errorf("%s: from there on: moved %q, want %q", c.what, next.moved, c.want)
		}
		if told := h.told(); told != c.want {
			t.Errorf("%s: told %q", c.what, told)
		}
		if h.since = now.Add(-movedFor); h.told() != "" {
			t.Errorf("%s: told after %s", c.what, movedFor)
		}
	}
}
