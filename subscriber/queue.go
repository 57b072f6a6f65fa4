package subscriber

// A queue holds changes in the order in which they came, and counts their bytes.
type queue struct {
	items []Change
	head  int
	bytes int64
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(c *Change) {
	if q.head > 1024 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, *c)
	q.bytes += c.size()
}

// unshift puts a change back in front.
func (q *queue) unshift(c *Change) {
	if q.head == 0 {
		q.items = append(make([]Change, 64, 64+len(q.items)), q.items...)
		q.head = 64
	}
	q.head--
	q.items[q.head] = *c
	q.bytes += c.size()
}

// pop takes the first out; there is one.
func (q *queue) pop() Change {
	c := q.items[q.head]
	q.items[q.head] = Change{}
	q.bytes -= c.size()
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 1<<16 {
			q.items = nil
		}
	}
	return c
}

func (q *queue) clear() { *q = queue{} }

// trim drops those in front that were committed before a time.
func (q *queue) trim(before stamp) (dropped int) {
	for q.len() > 0 && q.items[q.head].at < before {
		q.pop()
		dropped++
	}
	return dropped
}
