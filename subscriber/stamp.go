package subscriber

import (
	"time"

	"github.com/spancast/spancast/message"
)

// A stamp is a commit timestamp in nanoseconds since 1970; 0 is none.
type stamp int64

func stampOf(t time.Time) stamp {
	if t.IsZero() {
		return 0
	}
	return stamp(t.UnixNano())
}

// time is the zero time for no stamp.
func (s stamp) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(s)).UTC()
}

// String writes the stamp as messages do, and nothing for none.
func (s stamp) String() string {
	if s == 0 {
		return ""
	}
	return message.FormatTime(s.time())
}

// A stampReader reads the commit timestamps that headers begin with. Successive
// ones are mostly of the same second, whose text it remembers.
type stampReader struct {
	text   [secondLen]byte
	second stamp
}

// secondLen is the length of 2006-01-02T15:04:05.
const secondLen = 20

// read reads the first message.TimestampLen bytes of b.
func (r *stampReader) read(b []byte) (stamp, bool) {
	if len(b) < message.TimestampLen || b[message.TimestampLen-1] != 'Z' {
		return 0, false
	}
	if string(b[:secondLen]) != string(r.text[:]) {
		t, err := time.Parse("2006-01-02T15:04:05.", string(b[:secondLen]))
		if err != nil || t.Year() < 1970 || t.Year() > 2261 {
			return 0, false
		}
		copy(r.text[:], b)
		r.second = stamp(t.UnixNano())
	}
	nanos := stamp(0)
	for _, c := range b[secondLen : message.TimestampLen-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		nanos = nanos*10 + stamp(c-'0')
	}
	return r.second + nanos, true
}

// parseStamp reads a time that a message's body names.
func parseStamp(s string) (stamp, bool) {
	var r stampReader
	if len(s) != message.TimestampLen {
		t, err := time.Parse(time.RFC3339Nano, s)
		return stampOf(t), err == nil
	}
	return r.read([]byte(s))
}
