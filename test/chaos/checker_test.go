package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/message"
)

var dawn = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// story has three writes of one row, and one of another that may not have been.
func story() *checker {
	c := newChecker()
	c.commit([]*write{{identity: identity{"INSERT", 1}, row: "Orders 1"}, {identity: identity{"UPDATE", 2}, row: "Orders 1"}, {identity: identity{"DELETE", 2}, row: "Orders 1"},
		{identity: identity{"INSERT", 3}, row: "Users 1", maybe: true}})
	return c
}

// seen is the n-th publication: of a write, by a publisher, in an epoch of the
// partition P.
func seen(n int, op string, number int64, by string, epoch int64) sighting {
	at := dawn.Add(time.Duration(n) * time.Second)
	commit := dawn.Add(time.Duration(number) * time.Millisecond)
	if op == "DELETE" {
		commit = commit.Add(time.Microsecond)
	}
	return sighting{
		publication: publication{epoch: by, counter: uint64(n), id: identity{op, number}, row: "Orders 1", version: message.Version{CommitTimestamp: message.FormatTime(commit), RecordSequence: "00000000"}},
		act:         act{at: at, partition: "P", epoch: epoch}, publisher: by,
	}
}

func TestChecker_FindsWhatIsWrong(t *testing.T) {
	renamed := seen(4, "INSERT", 1, "a", 1)
	renamed.version.Mod = 1
	elsewhere := seen(2, "UPDATE", 2, "a", 1)
	elsewhere.row = "Orders 2"
	newer := seen(1, "INSERT", 1, "a", 1)
	newer.version.CommitTimestamp = message.FormatTime(dawn.Add(time.Hour))
	for name, c := range map[string]struct {
		all  []sighting
		want string // beginning of the only fault, empty for none
	}{
		"all is well":                     {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "a", 1), seen(3, "DELETE", 2, "a", 1)}, ""},
		"duplicates":                      {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "a", 1), seen(3, "INSERT", 1, "b", 2), seen(4, "UPDATE", 2, "b", 2), seen(5, "DELETE", 2, "b", 2)}, ""},
		"a late duplicate":                {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "b", 2), seen(3, "INSERT", 1, "a", 1), seen(5, "DELETE", 2, "b", 2)}, ""},
		"skipped":                         {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(3, "DELETE", 2, "a", 1)}, "skipped: UPDATE 2 of row Orders 1"},
		"invented":                        {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "a", 1), seen(3, "DELETE", 2, "a", 1), seen(4, "UPDATE", 9, "a", 1)}, "invented: "},
		"of another row":                  {[]sighting{seen(1, "INSERT", 1, "a", 1), elsewhere, seen(2, "UPDATE", 2, "a", 1), seen(3, "DELETE", 2, "a", 1)}, "invented: "},
		"stepped back":                    {[]sighting{seen(1, "UPDATE", 2, "a", 1), seen(2, "INSERT", 1, "a", 1), seen(3, "DELETE", 2, "a", 1)}, "stepped back: "},
		"two names":                       {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "a", 1), seen(3, "DELETE", 2, "a", 1), renamed}, "two names: "},
		"versions that do not order":      {[]sighting{newer, seen(2, "UPDATE", 2, "a", 1), seen(3, "DELETE", 2, "a", 1)}, "versions do not order: "},
		"an owner whose time was over":    {[]sighting{seen(1, "INSERT", 1, "b", 2), seen(2, "UPDATE", 2, "a", 1), seen(3, "DELETE", 2, "b", 2)}, "two owners: "},
		"two publishers in one epoch":     {[]sighting{seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "b", 1), seen(3, "DELETE", 2, "a", 2)}, "two owners: "},
		"arrival is not what order is of": {[]sighting{seen(3, "DELETE", 2, "b", 2), seen(1, "INSERT", 1, "a", 1), seen(2, "UPDATE", 2, "a", 1)}, ""},
	} {
		checker := story()
		checker.publish(c.all)
		checker.complete()
		switch faults := checker.faults; {
		case c.want == "" && len(faults) == 0:
		case c.want == "" || len(faults) != 1 || !strings.HasPrefix(faults[0], c.want):
			t.Errorf("%s: found %q, want %q", name, faults, c.want)
		}
	}
}

// A message belongs to the last act that could have sent it: what was announced
// before, and fenced, was not sent.
func TestJournal_FindsTheActOfAMessage(t *testing.T) {
	j := newJournal()
	for n, first := range []int{1, 21, 26} { // the second was fenced after five messages
		j.line(fmt.Sprintf(`{"time":"2026-11-20T09:00:0%dZ","severity":"DEBUG","message":"publishing","partition":"P%d","epoch":%d,"first":%d,"messages":20}`, n, n, n, first))
	}
	j.line(`{"severity":"INFO","message":"reading change stream S","replica":"r","epoch":"00112233445566ff"}`)
	for counter, want := range map[uint64]string{1: "P0", 20: "P0", 21: "P1", 25: "P1", 26: "P2", 400: "P2"} {
		if a, ok := j.act(counter); !ok || a.partition != want {
			t.Errorf("message %d: %+v, want %s", counter, a, want)
		}
	}
	if _, ok := j.act(0); ok {
		t.Error("a message before all others")
	}
	if id, epoch := j.name(); id != "r" || epoch != "00112233445566ff" {
		t.Errorf("%s %s", id, epoch)
	}
}
