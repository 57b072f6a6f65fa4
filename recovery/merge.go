package recovery

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// A queue is what one partition has delivered and others hold back, oldest
// first.
type queue struct {
	loads []*load
	next  int // of the first load
}

// head is the commit timestamp of the first message, as text.
func (q *queue) head() []byte { return q.loads[0].Version(q.next)[:message.TimestampLen] }

// pop takes the first message.
func (q *queue) pop() item {
	i := item{load: q.loads[0], index: q.next}
	if q.next++; q.next == q.loads[0].Len() {
		q.loads[0] = nil
		q.loads, q.next = q.loads[1:], 0
	}
	return i
}

// A merge brings the messages of several queues into the order of their
// versions. Within a queue the commit timestamps do not go back; those who
// share one may be in any order.
type merge struct {
	heap  queues // that are not empty
	group []item
}

func (m *merge) push(q *queue, l *load) {
	q.loads = append(q.loads, l)
	if len(q.loads) == 1 {
		heap.Push(&m.heap, q)
	}
}

// take gives out, in order, what was committed before a time.
func (m *merge) take(before time.Time, out func(item)) {
	var buf [message.TimestampLen]byte
	limit := changestream.AppendTimestamp(buf[:0], before)
	for len(m.heap) > 0 && bytes.Compare(m.heap[0].head(), limit) < 0 {
		m.next()
		for _, i := range m.group {
			out(i)
		}
		clear(m.group)
	}
}

// next takes all messages with the lowest commit timestamp into the group.
func (m *merge) next() {
	m.group = m.group[:0]
	var buf [message.TimestampLen]byte
	at := append(buf[:0], m.heap[0].head()...)
	for len(m.heap) > 0 {
		q := m.heap[0]
		if !bytes.Equal(q.head(), at) {
			break
		}
		for len(q.loads) > 0 && bytes.Equal(q.head(), at) {
			m.group = append(m.group, q.pop())
		}
		if len(q.loads) > 0 {
			heap.Fix(&m.heap, 0)
		} else {
			heap.Pop(&m.heap)
		}
	}
	if len(m.group) > 1 {
		slices.SortStableFunc(m.group, func(a, b item) int {
			return message.CompareVersions(a.load.Version(a.index), b.load.Version(b.index))
		})
	}
}

// queues are a heap, the one with the oldest message first.
type queues []*queue

func (h queues) Len() int           { return len(h) }
func (h queues) Less(i, j int) bool { return bytes.Compare(h[i].head(), h[j].head()) < 0 }
func (h queues) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *queues) Push(q any)        { *h = append(*h, q.(*queue)) }

func (h *queues) Pop() any {
	n := len(*h) - 1
	q := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return q
}
