package changes

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// Kind is a kind of key-range change.
type Kind string

// The kinds. Step is one step of the timed churn: everything moves, and in
// turn a partition splits or the two halves of the last split merge. Exchange
// is for mutable streams: two partitions give each other their ranges.
const (
	Split    Kind = "split"
	Merge    Kind = "merge"
	Move     Kind = "move"
	Exchange Kind = "exchange"
	Step     Kind = "step"
)

// ErrChurn is wrapped by the errors of Churn: the change cannot be made now.
var ErrChurn = errors.New("key ranges cannot change so")

// MaxPartitions bounds how many partitions a stream may have open.
const MaxPartitions = 1000

// Churn changes key ranges at a timestamp at which nothing else happens. The
// token names the partition that splits, moves, or merges or exchanges with its
// right neighbour; an empty one lets the stream choose the busiest.
func (s *Stream) Churn(kind Kind, token string, at store.Timestamp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped {
		return fmt.Errorf("%w: the stream was dropped", ErrChurn)
	}
	if kind == Step {
		return s.timedStep(at)
	}
	p := s.busiest()
	if token != "" {
		if p = s.all[token]; p == nil || p.End != 0 {
			return fmt.Errorf("%w: no open partition has the token %.40q", ErrChurn, token)
		}
	}
	err := s.change(kind, p, at)
	s.trim(at)
	return err
}

func (s *Stream) change(kind Kind, p *Partition, at store.Timestamp) error {
	if at <= p.Start {
		return fmt.Errorf("%w: the partition has only just begun", ErrChurn)
	}
	switch kind {
	case Split:
		return s.split(p, at)
	case Move:
		if s.def.Mutable() {
			return s.moveMutable(p, at)
		}
		s.succeed([]*Partition{p}, []*Partition{{Lo: p.Lo, Hi: p.Hi, keys: p.recent()}}, at)
		return nil
	case Merge, Exchange:
		if len(s.open) < 2 {
			return fmt.Errorf("%w: there is no other partition", ErrChurn)
		}
		i := min(slices.Index(s.open, p), len(s.open)-2)
		if kind == Exchange {
			return s.exchange(i, at)
		}
		return s.merge(s.open[i], s.open[i+1], at)
	}
	return fmt.Errorf("%w: unknown kind %q", ErrChurn, kind)
}

func (s *Stream) busiest() *Partition {
	best := s.open[0]
	for _, p := range s.open {
		if p.written > best.written {
			best = p
		}
	}
	return best
}

func (s *Stream) split(p *Partition, at store.Timestamp) error {
	mid, ok := p.middle()
	if !ok || len(s.open) >= MaxPartitions {
		return fmt.Errorf("%w: the partition cannot be divided further", ErrChurn)
	}
	if s.def.Mutable() {
		// The partition keeps its lower half; a new one takes the upper half.
		upper := s.add(&Partition{Start: at, Lo: mid, Hi: p.Hi, keys: p.recent()})
		p.Hi = mid
		s.store(p, at, s.protoRow(protoStart(Time(at), 0, upper.Token)))
		s.store(p, at, s.protoRow(protoEvent(at, 1, p.Token, nil, []string{upper.Token})))
		s.store(upper, at, s.protoRow(protoEvent(at, 0, upper.Token, []string{p.Token}, nil)))
		p.wake()
		return nil
	}
	s.succeed([]*Partition{p}, []*Partition{{Lo: p.Lo, Hi: mid, keys: p.recent()}, {Lo: mid, Hi: p.Hi, keys: p.recent()}}, at)
	return nil
}

func (s *Stream) merge(left, right *Partition, at store.Timestamp) error {
	if at <= left.Start || at <= right.Start {
		return fmt.Errorf("%w: the partition has only just begun", ErrChurn)
	}
	if s.def.Mutable() {
		left.Hi = right.Hi
		s.store(left, at, s.protoRow(protoEvent(at, 0, left.Token, []string{right.Token}, nil)))
		s.store(right, at, s.protoRow(protoEvent(at, 0, right.Token, nil, []string{left.Token})))
		s.store(right, at, s.protoRow(protoEnd(at, 1, right.Token)))
		s.end(right, at)
		left.wake()
		return nil
	}
	s.succeed([]*Partition{left, right}, []*Partition{{Lo: left.Lo, Hi: right.Hi, keys: left.recent()}}, at)
	return nil
}

// moveMutable gives the partition's whole range to a new one.
func (s *Stream) moveMutable(p *Partition, at store.Timestamp) error {
	lo, hi := p.Lo, p.Hi
	s.end(p, at)
	next := s.add(&Partition{Start: at, Lo: lo, Hi: hi, keys: p.recent()})
	s.store(p, at, s.protoRow(protoStart(Time(at), 0, next.Token)))
	s.store(p, at, s.protoRow(protoEvent(at, 1, p.Token, nil, []string{next.Token})))
	s.store(p, at, s.protoRow(protoEnd(at, 2, p.Token)))
	s.store(next, at, s.protoRow(protoEvent(at, 0, next.Token, []string{p.Token}, nil)))
	p.wake()
	return nil
}

// exchange lets an open partition and its right neighbour give each other their
// ranges, at one timestamp. Each tells what it got before what it gave.
func (s *Stream) exchange(i int, at store.Timestamp) error {
	a, b := s.open[i], s.open[i+1]
	switch {
	case !s.def.Mutable():
		return fmt.Errorf("%w: the ranges of these partitions are fixed", ErrChurn)
	case at <= a.Start || at <= b.Start:
		return fmt.Errorf("%w: the partition has only just begun", ErrChurn)
	}
	a.Lo, a.Hi, b.Lo, b.Hi = b.Lo, b.Hi, a.Lo, a.Hi
	a.keys, b.keys, s.open[i], s.open[i+1] = b.keys, a.keys, b, a
	for _, p := range []struct{ it, other *Partition }{{a, b}, {b, a}} {
		s.store(p.it, at, s.protoRow(protoEvent(at, 0, p.it.Token, []string{p.other.Token}, nil)))
		s.store(p.it, at, s.protoRow(protoEvent(at, 1, p.it.Token, nil, []string{p.other.Token})))
		p.it.wake()
	}
	return nil
}

// succeed ends parents and starts children in their place.
func (s *Stream) succeed(parents, children []*Partition, at store.Timestamp) {
	var tokens []string
	for _, p := range parents {
		tokens = append(tokens, p.Token)
		s.end(p, at)
	}
	var named []child
	for _, c := range children {
		c.Start, c.parents = at, tokens
		s.add(c)
		named = append(named, child{token: c.Token, parents: tokens})
	}
	for _, p := range parents {
		p.children = named
		p.wake()
	}
}

func (s *Stream) end(p *Partition, at store.Timestamp) {
	p.End = at
	p.keys = nil
	if i := slices.Index(s.open, p); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
	p.wake()
}

// timedStep is one beat of the timed churn. It alternates: one partition
// splits and the others move; then the halves merge and the others move. A
// mutable stream only splits and merges, its partitions live on.
func (s *Stream) timedStep(at store.Timestamp) error {
	for _, p := range s.open {
		if at <= p.Start {
			return fmt.Errorf("%w: a partition has only just begun", ErrChurn)
		}
	}
	before := slices.Clone(s.open)
	var done []*Partition
	var err error
	if s.step%2 == 0 {
		p := s.busiest()
		done = []*Partition{p}
		err = s.split(p, at)
	} else if len(s.open) > 1 {
		i := min(slices.Index(s.open, s.busiest()), len(s.open)-2)
		left, right := s.open[i], s.open[i+1]
		done = []*Partition{left, right}
		err = s.merge(left, right, at)
	}
	s.step++
	for _, p := range before {
		if !s.def.Mutable() && !slices.Contains(done, p) {
			s.succeed([]*Partition{p}, []*Partition{{Lo: p.Lo, Hi: p.Hi, keys: p.recent()}}, at)
		}
	}
	for _, p := range s.open {
		p.written = 0
	}
	s.trim(at)
	return err
}

// Balance is the churn by load: a partition with more changes a second than
// high splits, two neighbours that together have fewer than a quarter of it
// merge. One change is made a call; it reports whether there was one.
func (s *Stream) Balance(high float64, elapsed time.Duration, at store.Timestamp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped || elapsed <= 0 {
		return false
	}
	rate := func(p *Partition) float64 { return float64(p.written) / elapsed.Seconds() }
	changed := false
	if p := s.busiest(); rate(p) > high && at > p.Start {
		changed = s.split(p, at) == nil
	} else {
		for i := 0; i+1 < len(s.open) && !changed; i++ {
			if rate(s.open[i])+rate(s.open[i+1]) < high/4 && len(s.open) > 2 {
				changed = s.merge(s.open[i], s.open[i+1], at) == nil
			}
		}
	}
	for _, p := range s.open {
		p.written = 0
	}
	s.trim(at)
	return changed
}

// Definition is the stream's definition as it is now.
func (s *Stream) Definition() *schema.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.def
}
