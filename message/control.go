package message

import (
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"
)

// Format is the version of this layout. Another one has its own endpoint.
const Format = 1

// The last segments of control topics.
const (
	Resolved = "$resolved/"
	Hello    = "$hello/"
	Bye      = "$bye/"
	Gap      = "$gap/"
	Schema   = "$schema/"
)

// Control tells whether a topic is that of a control message, of which kind, and
// of which level. Values of a change never begin a segment with '$'.
func Control(topic string) (level, kind string, ok bool) {
	if len(topic) < 2 {
		return "", "", false
	}
	i := strings.LastIndexByte(topic[:len(topic)-1], '/') + 1
	if topic[i] != '$' {
		return "", "", false
	}
	return topic[:i], topic[i:], true
}

// ResolvedBody says up to when everything under its level was published. Its
// header has the level's counter: a subscriber that knows less has lost
// something. It also answers every new subscription.
type ResolvedBody struct {
	// Every change with a commit timestamp before this one was published by
	// this replica, of the partitions that it reads; empty while it reads none.
	Replica string `json:"replica,omitempty"`
	// The same for all replicas together; empty while that is not known.
	Fleet string `json:"fleet,omitempty"`
	// Dropped is how often, in this epoch, some subscriber was too slow and
	// lost messages.
	Dropped uint64 `json:"dropped"`
	// Directory is that of the latest hello. Fleet counts
	// for a subscriber that receives from all of these.
	Directory string `json:"directory,omitempty"`
}

// Directory names the fleet of a hello: 16 hex digits, the FNV-1a hash of the
// epochs of its publishers and of those that have ended, sorted.
func (h *HelloBody) Directory() string {
	epochs := slices.Clone(h.Ended)
	for _, e := range h.Endpoints {
		epochs = append(epochs, e.Epoch)
	}
	slices.Sort(epochs)
	sum := fnv.New64a()
	for _, e := range epochs {
		io.WriteString(sum, e)
	}
	return fmt.Sprintf("%016x", sum.Sum64())
}

// HelloBody says who publishes what.
type HelloBody struct {
	Format       int        `json:"format"`
	Database     string     `json:"database"`
	ChangeStream string     `json:"change_stream"`
	Dialect      string     `json:"dialect"`
	BodyFormat   string     `json:"body_format"` // native, cloudevents, debezium
	Replica      string     `json:"replica"`
	Epoch        string     `json:"epoch"`
	Endpoints    []Endpoint `json:"endpoints"` // of the fleet
	// Former are epochs that were in Endpoints of earlier hellos of this
	// publisher, and are not any more: the latest 100.
	Former []string `json:"former,omitempty"`
	// Ended are epochs that have ended in order within the last minute, whether
	// they were ever among Endpoints or not.
	Ended  []string `json:"ended,omitempty"`
	Server string   `json:"server"` // program and version
}

// An Endpoint is where a replica publishes.
type Endpoint struct {
	Replica string   `json:"replica"`
	Epoch   string   `json:"epoch"`
	Publish []string `json:"publish"`
	Recover []string `json:"recover,omitempty"` // where its recovery endpoint listens
}

// ByeBody ends an epoch. Counters are the final ones of all levels.
type ByeBody struct {
	Epoch    string            `json:"epoch"`
	Counters map[string]uint64 `json:"counters"`
}

// GapBody says what cannot be had any more.
type GapBody struct {
	Partition string `json:"partition"` // hash of the partition's token
	From      string `json:"from"`
	To        string `json:"to"` // exclusive
	Policy    string `json:"policy"`
}

// NewGap writes a gap's times as messages do.
func NewGap(partition string, from, to time.Time, policy string) GapBody {
	return GapBody{Partition: partition, From: FormatTime(from), To: FormatTime(to), Policy: policy}
}
