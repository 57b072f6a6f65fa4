package subscriber

// A seen set holds the versions that were handed on, as hashes of 64 bits: those
// of a window of commit timestamps, in 32 bytes or less for each. Two hashes that
// are alike would hide a change; at a million versions in the window that
// happens once in 10^13 changes.
type seen struct {
	table []uint64 // open addressing with linear probing; 0 is free
	mask  uint64
	ring  []seenVersion // in order of arrival, from head
	head  int
	count int
}

type seenVersion struct {
	at   stamp
	hash uint64
}

const minSeen = 1024 // a power of two

func newSeen() *seen {
	return &seen{table: make([]uint64, 2*minSeen), mask: 2*minSeen - 1, ring: make([]seenVersion, minSeen)}
}

// key is what stands for a hash in the table, where 0 is free.
func key(hash uint64) uint64 {
	if hash == 0 {
		return 1
	}
	return hash
}

func (s *seen) has(hash uint64) bool {
	hash = key(hash)
	for i := hash & s.mask; s.table[i] != 0; i = (i + 1) & s.mask {
		if s.table[i] == hash {
			return true
		}
	}
	return false
}

// add adds a version that is not in the set.
func (s *seen) add(hash uint64, at stamp) {
	hash = key(hash)
	if s.count == len(s.ring) {
		s.resize(2 * len(s.ring))
	}
	s.ring[(s.head+s.count)&(len(s.ring)-1)] = seenVersion{at, hash}
	s.count++
	s.insert(hash)
}

func (s *seen) insert(hash uint64) {
	i := hash & s.mask
	for s.table[i] != 0 {
		i = (i + 1) & s.mask
	}
	s.table[i] = hash
}

// evict forgets versions that were committed before a time. They go in the order
// in which they came, so that some stay until those in front of them go.
func (s *seen) evict(before stamp) {
	for s.count > 0 && s.ring[s.head].at < before {
		s.forget()
	}
	if n := len(s.ring); n > minSeen && s.count < n/8 {
		s.resize(n / 4)
	}
}

// forget forgets what came first of what there is.
func (s *seen) forget() {
	s.remove(s.ring[s.head].hash)
	s.head = (s.head + 1) & (len(s.ring) - 1)
	s.count--
}

// remove takes a hash out of the table, and moves those up that were put behind
// it for want of room.
func (s *seen) remove(hash uint64) {
	i := hash & s.mask
	for s.table[i] != hash {
		i = (i + 1) & s.mask
	}
	for j := (i + 1) & s.mask; s.table[j] != 0; j = (j + 1) & s.mask {
		home := s.table[j] & s.mask
		if (j-home)&s.mask >= (j-i)&s.mask {
			s.table[i], i = s.table[j], j
		}
	}
	s.table[i] = 0
}

func (s *seen) resize(ring int) {
	old := *s
	*s = seen{table: make([]uint64, 2*ring), mask: uint64(2*ring - 1), ring: make([]seenVersion, ring), count: old.count}
	for i := range old.count {
		v := old.ring[(old.head+i)&(len(old.ring)-1)]
		s.ring[i] = v
		s.insert(v.hash)
	}
}

// hashes lists the versions that were committed at a time or later, and the
// latest of their times.
func (s *seen) hashes(from stamp) (list []uint64, latest stamp) {
	for i := range s.count {
		if v := s.ring[(s.head+i)&(len(s.ring)-1)]; v.at >= from {
			list = append(list, v.hash)
			latest = max(latest, v.at)
		}
	}
	return list, latest
}
