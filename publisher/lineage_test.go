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
