package subscriber

import (
	"fmt"
	"time"
)

// Cause says why changes cannot be had.
type Cause string

// The causes of gaps.
const (
	// Expired changes are older than what the change stream keeps.
	Expired Cause = "expired"
	// Skipped changes were older than what the change stream kept when the
	// service wanted to read them; it announced that.
	Skipped Cause = "skipped"
	// Unrecovered changes were lost on the way, or may have been (Lost is 0), and
	// no recovery endpoint is known, lets this identity ask, or has answered for
	// Options.RecoveryTimeout.
	Unrecovered Cause = "unrecovered"
)

// A Gap is what cannot be recovered: some changes of the topics with commit
// timestamps between From and To, of which nothing is known but that.
type Gap struct {
	Cause     Cause
	From, To  time.Time // zero when that is not known; To is exclusive
	Lost      uint64    // how many, by the counters; 0 when that is not known
	Partition string    // hash of the partition's token, of Skipped changes
}

// String says it in a few words.
func (g Gap) String() string {
	s := fmt.Sprintf("%s changes from %s to %s", g.Cause, name(g.From), name(g.To))
	if g.Lost > 0 {
		s += fmt.Sprintf(", %d of them", g.Lost)
	}
	if g.Cause == Expired {
		s += "; the change stream keeps nothing older, or is younger"
	}
	return s
}

func name(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.Format(time.RFC3339Nano)
}
