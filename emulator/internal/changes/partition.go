package changes

import (
	"slices"

	"github.com/spancast/spancast/emulator/internal/store"
)

// samples is how many recently written keys a partition remembers, to split
// where the load is.
const samples = 32

// Partition is a range of the key space for a time. In mutable mode the range
// changes while the partition lives.
type Partition struct {
	Token    string
	Start    store.Timestamp
	End      store.Timestamp // exclusive; 0: still open
	Lo, Hi   string          // [Lo, Hi), empty: unbounded
	parents  []string
	children []child
	log      log
	notify   chan struct{}    // closed and replaced at each news
	keys     *[samples]string // of recent changes; nil: none yet
	written  int              // changes since the last look of the churn by load
	marked   bool
	txn      store.Timestamp // to which current belongs
	current  int             // index of the record that takes further mods
}

// wake tells readers that there is something new.
func (p *Partition) wake() {
	close(p.notify)
	p.notify = make(chan struct{})
}

// sample remembers every few keys.
func (p *Partition) sample(key string) {
	p.written++
	if p.keys == nil {
		p.keys = new([samples]string)
	}
	if p.written < samples || p.written%16 == 0 {
		p.keys[p.written/16%samples] = key
		if p.written < samples {
			p.keys[p.written] = key
		}
	}
}

// middle is where to split the partition: the median of the keys written to
// it, or the middle of its range when it was hardly written to.
func (p *Partition) middle() (string, bool) {
	var keys []string
	for i := range samples {
		if p.keys == nil {
			break
		}
		key := p.keys[i]
		if key > p.Lo && (p.Hi == "" || key < p.Hi) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) > 0 {
		return keys[len(keys)/2], true
	}
	return between(p.Lo, p.Hi)
}

// between finds a key within (lo, hi): it halves the difference of the eight
// bytes after what lo and hi have in common.
func between(lo, hi string) (string, bool) {
	common := 0
	for common < len(lo) && common < len(hi) && lo[common] == hi[common] {
		common++
	}
	number := func(s string, missing byte) (n uint64) {
		for i := common; i < common+8; i++ {
			b := missing
			if i < len(s) {
				b = s[i]
			}
			n = n<<8 | uint64(b)
		}
		return n
	}
	a, b := number(lo, 0), uint64(1<<64-1)
	if hi != "" {
		b = number(hi, 0)
	}
	if b <= a+1 {
		return "", false
	}
	mid := a + (b-a)/2
	out := []byte(lo[:common])
	for shift := 56; shift >= 0; shift -= 8 {
		out = append(out, byte(mid>>shift))
	}
	key := string(out)
	return key, key > lo && (hi == "" || key < hi)
}

// recent is a copy of the remembered keys for a partition that follows.
func (p *Partition) recent() *[samples]string {
	if p.keys == nil {
		return nil
	}
	keys := *p.keys
	return &keys
}
