package changes

import "github.com/spancast/spancast/emulator/internal/store"

// Blocks grow from small to big, so that a quiet partition costs little and a
// busy one few allocations.
const (
	firstBlock = 4 << 10
	fullBlock  = 256 << 10
)

// log is the encoded records of one partition in order of time. A block's bytes
// are written once; readers keep slices of them.
type log struct {
	blocks []*block
	bytes  int64
}

type block struct {
	buf     []byte
	entries []entry
}

// entry is one record in a block: its bytes end at end and begin where those
// of the one before end; nth counts the records with the same timestamp.
type entry struct {
	at  store.Timestamp
	end uint32
	nth uint32
}

func (b *block) last() store.Timestamp { return b.entries[len(b.entries)-1].at }

func (l *log) append(at store.Timestamp, data []byte) {
	var b *block
	nth := uint32(0)
	if n := len(l.blocks); n > 0 {
		b = l.blocks[n-1]
		if tail := b.entries[len(b.entries)-1]; tail.at == at {
			nth = tail.nth + 1
		}
	}
	if b == nil || len(b.buf)+len(data) > cap(b.buf) {
		size := firstBlock
		if b != nil {
			size = min(2*cap(b.buf), fullBlock)
		}
		size = max(size, len(data))
		b = &block{buf: make([]byte, 0, size)}
		l.blocks = append(l.blocks, b)
		l.bytes += int64(size)
	}
	b.buf = append(b.buf, data...)
	b.entries = append(b.entries, entry{at: at, end: uint32(len(b.buf)), nth: nth})
}

// position is a place in a log: after the first skip records at a timestamp.
type position struct {
	at   store.Timestamp
	skip uint32
}

// run is consecutive records in one piece of memory.
type run struct {
	data []byte
	rows int
	next position // after its last record
}

// read gives the records from pos up to and including the timestamp to, as far
// as they lie in one block and within the limits; a single record may pass
// the limit of bytes. No rows: there are none.
func (l *log) read(pos position, to store.Timestamp, maxRows, maxBytes int) run {
	b, i := l.seek(pos)
	if b == nil {
		return run{next: pos}
	}
	start := uint32(0)
	if i > 0 {
		start = b.entries[i-1].end
	}
	r := run{next: pos}
	for ; i < len(b.entries) && r.rows < maxRows; i++ {
		e := b.entries[i]
		if e.at > to || r.rows > 0 && int(e.end-start) > maxBytes {
			break
		}
		r.data, r.next = b.buf[start:e.end:e.end], position{e.at, e.nth + 1}
		r.rows++
	}
	return r
}

// unread is the number of bytes from a position on.
func (l *log) unread(pos position) int64 {
	b, i := l.seek(pos)
	if b == nil {
		return 0
	}
	n := int64(len(b.buf))
	if i > 0 {
		n -= int64(b.entries[i-1].end)
	}
	for k := len(l.blocks) - 1; l.blocks[k] != b; k-- {
		n += int64(len(l.blocks[k].buf))
	}
	return n
}

// seek finds the first record at or after pos.
func (l *log) seek(pos position) (*block, int) {
	lo, hi := 0, len(l.blocks)
	for lo < hi {
		mid := (lo + hi) / 2
		if tail := l.blocks[mid].entries[len(l.blocks[mid].entries)-1]; before(tail, pos) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(l.blocks) {
		return nil, 0
	}
	b := l.blocks[lo]
	from, end := 0, len(b.entries)
	for from < end {
		mid := (from + end) / 2
		if before(b.entries[mid], pos) {
			from = mid + 1
		} else {
			end = mid
		}
	}
	return b, from
}

func before(e entry, pos position) bool {
	return e.at < pos.at || e.at == pos.at && e.nth < pos.skip
}

// dropFirst forgets the oldest block and returns the timestamp of its last record.
func (l *log) dropFirst() store.Timestamp {
	b := l.blocks[0]
	l.blocks[0] = nil
	l.blocks = l.blocks[1:]
	l.bytes -= int64(cap(b.buf))
	return b.last()
}
