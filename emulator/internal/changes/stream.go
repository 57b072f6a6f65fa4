package changes

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// Stream is a change stream with its partitions and records.
type Stream struct {
	mu        sync.Mutex
	def       *schema.Stream
	schema    *schema.Schema
	format    format
	capture   schema.CaptureType
	excluded  [3]bool // by ModType
	suspended bool    // watches nothing
	plans     map[uint32]*plan
	created   store.Timestamp
	lost      store.Timestamp // records up to it may be gone
	trimmed   store.Timestamp // when expired records were last looked for
	limit     int64           // bytes of records kept
	bytes     int64
	open      []*Partition // those without an end, in order of their ranges
	all       map[string]*Partition
	readers   map[*reader]struct{} // running partition queries
	dropped   bool
	step      int // of the timed churn
	records   []record
	scratch   []byte
	text      []byte
	names     func() string // makes tokens
}

const (
	trimInterval = 1_000_000 // microseconds
	maxKnown     = 20_000    // partitions, most of them ended
)

// Config is what a stream is made with.
type Config struct {
	Partitions int           // how many to begin with
	Limit      int64         // bytes of records kept
	Names      func() string // makes partition tokens, each different
}

// New makes a stream that begins at a timestamp.
func New(sch *schema.Schema, def *schema.Stream, created store.Timestamp, c Config) *Stream {
	s := &Stream{def: def, schema: sch, format: formatOf(sch, def), created: created, limit: c.Limit, all: map[string]*Partition{}, readers: map[*reader]struct{}{}, names: c.Names}
	s.adopt(sch)
	s.divide(created, max(1, c.Partitions))
	return s
}

// adopt takes over a changed schema. Readers of the stream's partitions wake,
// so that they notice a retention that was shortened.
func (s *Stream) adopt(sch *schema.Schema) {
	if def := sch.Stream(s.def.Name); def != nil {
		s.def = def
	}
	s.schema, s.plans = sch, map[uint32]*plan{}
	s.capture = s.def.Capture()
	s.excluded = [3]bool{s.def.Is("exclude_insert"), s.def.Is("exclude_update"), s.def.Is("exclude_delete")}
	s.suspended = !s.def.All && len(s.def.Tables) == 0
}

// formatOf is the form of a stream's rows, which never changes.
func formatOf(sch *schema.Schema, def *schema.Stream) format {
	switch {
	case def.Mutable():
		return formatProto
	case sch.Dialect == schema.PostgreSQL:
		return formatJSON
	}
	return formatStruct
}

// Alter takes over a changed definition.
func (s *Stream) Alter(sch *schema.Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopt(sch)
	s.wakeAll()
}

// Drop ends the stream: running queries end with NOT_FOUND.
func (s *Stream) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
	s.wakeAll()
}

// Wake makes running queries look at the clock again.
func (s *Stream) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeAll()
}

func (s *Stream) wakeAll() {
	for _, p := range s.all {
		p.wake()
	}
}

func (s *Stream) plan(t *schema.Table) *plan {
	p, ok := s.plans[t.ID]
	if !ok {
		p = newPlan(s, s.schema, t)
		s.plans[t.ID] = p
	}
	return p
}

// divide makes the first partitions: equal parts of the space of table ids, in
// which the tables of a young database all lie in the first one. They spread as
// partitions split at keys that are really written.
func (s *Stream) divide(at store.Timestamp, n int) {
	lo := ""
	for i := range n {
		hi := ""
		if i < n-1 {
			bound := uint64(1) << 32 / uint64(n) * uint64(i+1)
			hi = string([]byte{byte(bound >> 24), byte(bound >> 16), byte(bound >> 8), byte(bound)})
		}
		s.add(&Partition{Start: at, Lo: lo, Hi: hi})
		lo = hi
	}
}

// add makes a partition known and open.
func (s *Stream) add(p *Partition) *Partition {
	p.Token, p.notify = s.names(), make(chan struct{})
	s.all[p.Token] = p
	i, _ := slices.BinarySearchFunc(s.open, p.Lo, func(o *Partition, lo string) int { return cmp.Compare(o.Lo, lo) })
	s.open = slices.Insert(s.open, i, p)
	return p
}

// locate finds the open partition that a key lies in.
func (s *Stream) locate(key string) *Partition {
	lo, hi := 0, len(s.open)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if s.open[mid].Lo <= key {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return s.open[lo]
}

// trim keeps the stream within its retention and its limit of memory.
func (s *Stream) trim(now store.Timestamp) {
	if s.bytes > s.limit {
		s.dropOldest(now)
	}
	if now-s.trimmed < trimInterval {
		return
	}
	s.trimmed = now
	s.forgetPartitions()
	keep := now - store.Timestamp(s.def.Retention()/time.Microsecond)
	if keep < s.created {
		return
	}
	for token, p := range s.all {
		for len(p.log.blocks) > 0 && p.log.blocks[0].last() < keep {
			s.drop(p)
		}
		if p.End != 0 && p.End < keep {
			s.bytes -= p.log.bytes
			delete(s.all, token)
			p.wake()
		}
	}
}

// forgetPartitions bounds how many ended partitions are known.
func (s *Stream) forgetPartitions() {
	if len(s.all) <= maxKnown {
		return
	}
	known := s.ordered()
	slices.SortFunc(known, func(a, b *Partition) int { return cmp.Compare(a.End, b.End) })
	for _, p := range known {
		if len(s.all) <= maxKnown*3/4 {
			return
		}
		if p.End != 0 {
			s.bytes -= p.log.bytes
			s.lost = max(s.lost, p.End)
			delete(s.all, p.Token)
			p.wake()
		}
	}
}

func (s *Stream) drop(p *Partition) store.Timestamp {
	before := p.log.bytes
	last := p.log.dropFirst()
	s.bytes -= before - p.log.bytes
	return last
}

// dropOldest drops the oldest blocks of all partitions until the limit is met.
// What is being written to is never dropped.
func (s *Stream) dropOldest(now store.Timestamp) {
	for s.bytes > s.limit {
		var oldest *Partition
		for _, p := range s.all {
			if len(p.log.blocks) > 1 || p.End != 0 && len(p.log.blocks) == 1 {
				if oldest == nil || p.log.blocks[0].last() < oldest.log.blocks[0].last() {
					oldest = p
				}
			}
		}
		if oldest == nil {
			return
		}
		s.lost = min(max(s.lost, s.drop(oldest)), now)
	}
}

// earliest is the first timestamp that can be read.
func (s *Stream) earliest(now time.Time) store.Timestamp {
	retained := store.Timestamp(now.Add(-s.def.Retention()).UnixMicro())
	return max(s.created, s.lost+1, retained)
}

// Partitions lists the tokens of the open partitions in order of their ranges.
func (s *Stream) Partitions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, len(s.open))
	for i, p := range s.open {
		out[i] = p.Token
	}
	return out
}
