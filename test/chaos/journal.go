package chaos

import (
	"encoding/json"
	"sort"
	"strings"
	"sync"
	"time"
)

// An act is a line of a replica's log that says what it is about to publish: the
// messages from first on, by the counter of the root, for a partition and by an
// epoch of its lease.
type act struct {
	at        time.Time
	partition string
	epoch     int64
	first     uint64
}

// A journal is what the log of one replica says.
type journal struct {
	mu      sync.Mutex
	replica string // its id, once it is known
	epoch   string // of its publisher
	acts    []act
	fenced  int // batches that were not published because the lease had run out
	lost    int // partitions that another replica had taken
	logs    []string
}

func newJournal() *journal { return &journal{} }

// line reads a line of the log.
func (j *journal) line(text string) {
	if !strings.HasPrefix(text, "{") {
		return
	}
	var l struct {
		Time      time.Time
		Severity  string
		Message   string
		Partition string
		Replica   string
		Epoch     json.RawMessage
		First     uint64
	}
	if json.Unmarshal([]byte(text), &l) != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case l.Message == "publishing":
		a := act{at: l.Time, partition: l.Partition, first: l.First}
		json.Unmarshal(l.Epoch, &a.epoch)
		j.acts = append(j.acts, a)
	case l.Replica != "" && strings.HasPrefix(l.Message, "reading change stream"):
		j.replica = l.Replica
		json.Unmarshal(l.Epoch, &j.epoch)
	case strings.HasPrefix(l.Message, "a lease ran out"):
		j.fenced++
	case strings.HasPrefix(l.Message, "lost a partition"):
		j.lost++
	}
	if l.Severity == "ERROR" {
		j.logs = append(j.logs, text)
	}
}

// name returns the replica's id and its publisher's epoch.
func (j *journal) name() (id, epoch string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.replica, j.epoch
}

// act finds the act that a message belongs to. Of several that could have sent
// it the last has: what an earlier one announced, it did not publish.
func (j *journal) act(counter uint64) (act, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := sort.Search(len(j.acts), func(i int) bool { return j.acts[i].first > counter })
	if i == 0 {
		return act{}, false
	}
	return j.acts[i-1], true
}

// published returns when a partition was published first by a later epoch.
func (j *journal) published(partition string, after int64) (time.Time, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.acts {
		if a.partition == partition && a.epoch > after {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// forget drops what is not needed any more: all acts but the latest thousands.
func (j *journal) forget() {
	const kept = 5000
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.acts); n > kept {
		j.acts = append([]act(nil), j.acts[n-kept:]...)
	}
}
