// Package mutants makes inputs for fuzz tests that are the same in every run, so
// that the gate tries many of them and still says the same of the same code. Go's
// own fuzzing (`make fuzz`) starts from new random numbers each time: it finds
// more, and can fail a change that is not to blame.
package mutants

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
)

// Of gives n inputs, each made of seed by one to four small edits. The same seed
// gives the same inputs.
func Of[T ~string | ~[]byte](seed T, n int) iter.Seq[T] {
	return func(yield func(T) bool) {
		h := fnv.New64a()
		h.Write([]byte(seed))
		rnd := rand.New(rand.NewPCG(h.Sum64(), 1))
		for range n {
			b := append([]byte{}, seed...)
			for range 1 + rnd.IntN(4) {
				b = edit(rnd, b)
			}
			if !yield(T(b)) {
				return
			}
		}
	}
}

// telling holds what parsers treat in a way of its own.
const telling = "\x00\x01\x7f\x80\xff 09-+.,:;TZeE'\"`\\/()[]{}<>$@%_\n\t"

// edit makes one small change to b: a byte replaced, flipped in one bit, put in or
// taken out, two bytes exchanged, a stretch doubled or cut, or the end cut off.
func edit(rnd *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return []byte{telling[rnd.IntN(len(telling))]}
	}
	from := rnd.IntN(len(b))
	to := from + rnd.IntN(min(16, len(b)-from)) + 1
	switch rnd.IntN(8) {
	case 0:
		b[from] = telling[rnd.IntN(len(telling))]
	case 1:
		b[from] ^= 1 << rnd.IntN(8)
	case 2:
		b = append(b[:from], append([]byte{telling[rnd.IntN(len(telling))]}, b[from:]...)...)
	case 3:
		b = append(b[:from], b[from+1:]...)
	case 4:
		other := rnd.IntN(len(b))
		b[from], b[other] = b[other], b[from]
	case 5:
		b = append(b[:to], append(append([]byte(nil), b[from:to]...), b[to:]...)...)
	case 6:
		b = append(b[:from], b[to:]...)
	default:
		b = b[:from]
	}
	return b
}
