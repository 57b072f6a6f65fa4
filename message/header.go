package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Header is the second frame, taken apart and not copied: it is valid as long
// as the frame is.
type Header struct {
	Version    []byte // see ParseVersion; its first TimestampLen bytes are the commit timestamp
	Epoch      []byte
	Counters   []byte
	Attributes []byte // JSON object; see ParseAttributes
}

// ErrHeader is returned for a frame that is not a header.
var ErrHeader = errors.New("not a header: want VERSION EPOCH COUNTERS ATTRIBUTES")

// ParseHeader splits a header at its first three spaces.
func ParseHeader(frame []byte) (Header, error) {
	var h Header
	rest := frame
	for _, field := range []*[]byte{&h.Version, &h.Epoch, &h.Counters} {
		i := bytes.IndexByte(rest, ' ')
		if i <= 0 {
			return h, ErrHeader
		}
		*field, rest = rest[:i], rest[i+1:]
	}
	h.Attributes = rest
	if len(h.Version) < TimestampLen || len(rest) < 2 || rest[0] != '{' {
		return h, ErrHeader
	}
	return h, nil
}

// AppendHeader appends a header.
func AppendHeader(dst, version, epoch []byte, counters []uint64, attributes []byte) []byte {
	dst = append(append(dst, version...), ' ')
	dst = append(append(dst, epoch...), ' ')
	for i, n := range counters {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return append(append(dst, ' '), attributes...)
}

// Counter returns the counter of a level, 0 being the root; not ok when there is
// none for it, because the level is made from row data.
func (h Header) Counter(level int) (n uint64, ok bool) {
	rest := h.Counters
	for ; level > 0; level-- {
		i := bytes.IndexByte(rest, '/')
		if i < 0 {
			return 0, false
		}
		rest = rest[i+1:]
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		rest = rest[:i]
	}
	n, err := strconv.ParseUint(string(rest), 10, 64)
	return n, err == nil
}

// Level is the level that a subscription stands for: the number of its
// segments. A subscription that does not end at a '/' is of no level, and cannot
// tell what it lost.
func Level(prefix string) (level int, ok bool) {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return 0, false
	}
	return strings.Count(prefix, "/"), true
}

// Attributes of a change.
type Attributes struct {
	Table       string `json:"table"`
	Op          string `json:"op"`      // INSERT, UPDATE, DELETE, READ
	Capture     string `json:"capture"` // value capture type
	Schema      string `json:"schema"`  // hash of the column list
	Records     int64  `json:"records"` // of the transaction, over all partitions
	Partitions  int64  `json:"partitions"`
	Last        bool   `json:"last"` // whether it is in the transaction's last record in its partition
	Tag         string `json:"tag,omitempty"`
	System      bool   `json:"system,omitempty"`
	Traceparent string `json:"traceparent,omitempty"`
	// Moved is set when the change's partition was another publisher's before:
	// what was committed before that time was published there, and may still
	// be on its way from there.
	Moved string `json:"moved,omitempty"`
}

// ParseAttributes reads the attributes of a change. Unknown ones are passed
// over.
func ParseAttributes(b []byte) (Attributes, error) {
	var a Attributes
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("attributes: %w", err)
	}
	return a, nil
}
