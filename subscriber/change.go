package subscriber

import (
	"bytes"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/spancast/spancast/message"
)

// A Change is a row change, or with op READ a row of a snapshot. It is valid
// until the handler returns; Topic, and the slices of Header and Body, may be
// kept, and must not be written to.
type Change struct {
	Topic  string
	Header message.Header
	Body   []byte
	Origin Origin

	at   stamp
	hash uint64
}

// Origin says which way a change came.
type Origin uint8

// The ways.
const (
	Live     Origin = iota // published
	Replay                 // from the recovery endpoint
	Snapshot               // from the recovery endpoint: a row as it was
)

// String names the way.
func (o Origin) String() string {
	return [...]string{"live", "replay", "snapshot"}[o]
}

// CommitTimestamp is when the change was committed; of a snapshot's row, the
// time at which it was read.
func (c *Change) CommitTimestamp() time.Time { return c.at.time() }

// Version names the change.
func (c *Change) Version() (message.Version, error) { return message.ParseVersion(c.Header.Version) }

// Attributes say what kind of change it is.
func (c *Change) Attributes() (message.Attributes, error) {
	return message.ParseAttributes(c.Header.Attributes)
}

// size is what the change holds of a buffer's budget, in bytes.
func (c *Change) size() int64 {
	h := &c.Header
	return int64(len(h.Version)+len(h.Epoch)+len(h.Counters)+len(h.Attributes)+len(c.Body)) + 256
}

// movedMark begins the attribute moved. It cannot be part of another one's
// value: a quote in a JSON string has a backslash in front, not a comma.
var movedMark = []byte(`,"moved":"`)

// moved is the time before which the change's partition was another publisher's.
func (c *Change) moved(r *stampReader) stamp {
	i := bytes.LastIndex(c.Header.Attributes, movedMark)
	if i < 0 {
		return 0
	}
	at, _ := r.read(c.Header.Attributes[i+len(movedMark):])
	return at
}

// read takes the header of a change apart.
func (c *Change) read(header []byte, r *stampReader) bool {
	var err error
	if c.Header, err = message.ParseHeader(header); err != nil {
		return false
	}
	var ok bool
	c.at, ok = r.read(c.Header.Version)
	c.hash = xxhash.Sum64(c.Header.Version)
	return ok
}

// topics gives topics as strings without allocating the same one twice.
type topics map[string]string

const maxTopics = 4096

func (t *topics) of(b []byte) string {
	if s, ok := (*t)[string(b)]; ok {
		return s
	}
	if len(*t) >= maxTopics || *t == nil {
		*t = make(topics)
	}
	s := string(b)
	(*t)[s] = s
	return s
}
