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
	}
	return h
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
