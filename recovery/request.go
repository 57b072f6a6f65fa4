package recovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spancast/spancast/message"
)

// A Request is what a client asks for, as far as it matters who it is.
type Request struct {
	Command string
	Topics  []string // of a replay, prefixes
	Tables  []string // of a snapshot; empty: all
}

const (
	maxID = 64
	// ahead is how far in the future a replay may begin: the clocks of those
	// who ask differ a little.
	ahead = 10 * time.Second
)

// checkID checks the id that a client has chosen.
func checkID(id string) error {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return errors.New("an id has printable ASCII characters only")
		}
	}
	if id == "" || len(id) > maxID {
		return fmt.Errorf("an id has 1 to %d characters", maxID)
	}
	return nil
}

// decode reads the JSON object of a request. Unknown members are passed over,
// for clients that are newer.
func decode(text []byte, to any) error {
	if err := json.Unmarshal(text, to); err != nil {
		return errors.New("the second frame is not a JSON object as this command wants it")
	}
	return nil
}

// checkCredit checks a grant.
func checkCredit(c message.Credit) error {
	if c.Messages < 0 || c.Bytes < 0 {
		return errors.New("credit is negative")
	}
	return nil
}

// A span is the part of the stream that a replay is about.
type span struct {
	from    time.Time
	after   []byte // version; empty when from is a time
	fromNow bool
	to      time.Time // exclusive; zero when open or now
	open    bool
	now     bool // to the time at which the request is begun
}

// spanOf reads the ends of a replay.
func spanOf(q *message.ReplayRequest) (s span, err error) {
	if q.From == message.Now {
		s.fromNow = true
	} else if s.from, err = parseTime(q.From); err != nil {
		v, err := message.ParseVersion([]byte(q.From))
		if err != nil {
			return s, fmt.Errorf("from is neither an RFC 3339 time nor a version")
		}
		if s.from, err = v.Time(); err != nil {
			return s, errors.New("from has no commit timestamp")
		}
		s.after = []byte(q.From)
	}
	switch q.To {
	case "":
		s.open = true
	case message.Now:
		s.now = true
	default:
		if s.to, err = parseTime(q.To); err != nil {
			return s, errors.New("to is neither an RFC 3339 time, nor now, nor empty")
		}
	}
	return s, nil
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err == nil && (t.Year() < 1970 || t.Year() > 9000) {
		err = errors.New("out of range")
	}
	return t.UTC(), err
}

// checkTopics checks prefixes.
func checkTopics(prefixes []string) error {
	if len(prefixes) == 0 {
		return errors.New("topics has no prefix; the empty one stands for all")
	}
	for _, p := range prefixes {
		if p != "" && !strings.HasSuffix(p, "/") {
			return errors.New("a topic prefix is empty or ends in '/'")
		}
	}
	return nil
}
