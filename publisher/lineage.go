package publisher

import (
	"sync"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// A lineage knows which partitions this publisher has published itself, and so
// whether the changes before those of a partition went out on its own sockets,
// in front, or on those of another publisher. In the second case a subscriber
// may receive the later ones first, and is told by the attribute moved.
//
// The changes before those of a partition are its own under an earlier lease;
// those of its parents; and, where keys move between partitions that live on, at
// each move those of the partitions that had the keys.
type lineage struct {
	mu   sync.Mutex
	held map[changestream.PartitionToken]holding
}

// A holding is a partition that this publisher publishes, or has published.
type holding struct {
	epoch int64     // of the lease
	ended bool      // everything of it was published here, to its end
	moved string    // others published before this time
	since time.Time // when it came from there
	start time.Time // set if moved is this, for want of knowing whose keys it began with
	left  time.Time // until when it was published here when keys of it went to others last
}

// told is what changes of the partition say.
func (h *holding) told() string {
	if h.moved != "" && time.Since(h.since) < movedFor {
		return h.moved
	}
	return ""
}

const (
	// movedFor is how long changes of a partition tell that it has moved. Who
	// has not received what was published before by then, over a connection
	// that is alive, has lost it and knows.
	movedFor = 10 * time.Minute
	// maxHeld bounds the partitions that are remembered. Forgotten ones count
	// as another's.
	maxHeld = 10_000
)

// begin says that a partition is to be published from its position on.
func (l *lineage) begin(p changestream.Partition, now time.Time) holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.inherit(&p, now)
	h.epoch = p.Epoch
	if len(l.held) >= maxHeld || l.held == nil {
		l.held = make(map[changestream.PartitionToken]holding)
	}
	l.held[p.Token] = h
	return h
}

// inherit is what the partition has of those before it: itself under an earlier
// lease, or its parents.
func (l *lineage) inherit(p *changestream.Partition, now time.Time) (h holding) {
	if was, ok := l.held[p.Token]; ok && was.epoch >= p.Epoch-1 {
		was.ended = false
		return was
	}
	own := p.Epoch <= 1 && len(p.Parents) > 0
	for _, token := range p.Parents {
		parent := l.held[token]
		own = own && parent.ended
		if parent.moved > h.moved {
			h = holding{moved: parent.moved, since: parent.since}
		}
	}
	if !own && !p.Position.IsZero() {
		h = holding{moved: message.FormatTime(p.Position), since: now}
		if p.Epoch <= 1 && len(p.Parents) > 0 {
			h.start = p.Position
		}
	}
	return h
}

// movedIn says that keys came to a partition from others at a time, and returns
// what follows. What those had up to that time, inclusive, went out here if this
// publisher has published the move in them, or their end.
func (l *lineage) movedIn(token changestream.PartitionToken, h holding, at time.Time, sources []changestream.PartitionToken, now time.Time) holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.start.Equal(at) { // it began with these keys, and with no others
		h.moved, h.start = "", time.Time{}
	}
	for _, source := range sources {
		from := l.held[source]
		moved, since := from.moved, from.since
		if !from.ended && from.left.Before(at) {
			moved, since = message.FormatTime(at.Add(1)), now
		}
		if moved > h.moved {
			h.moved, h.since = moved, since
		}
	}
	if _, ok := l.held[token]; ok {
		l.held[token] = h
	}
	return h
}

// left says that a partition was published up to a move of keys to others.
func (l *lineage) left(token changestream.PartitionToken, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[token]; ok && at.After(h.left) {
		h.left = at
		l.held[token] = h
	}
}

// ended says that a partition was published to its end.
func (l *lineage) ended(token changestream.PartitionToken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[token]; ok {
		h.ended = true
		l.held[token] = h
	}
}
