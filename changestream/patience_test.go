package changestream_test

import (
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
)

// A Spanner that has more to do than it can takes longer for the first record of
// a query than a query may be silent at first. Asked again and again with the
// same patience, it would never get to answer.
func TestStream_ASlowSpannerIsWaitedForLongerEachTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	f.run()
	f.check(f.commit(5))
	f.server.SetFaults(emulator.Faults{FrameDelay: 3 * time.Second})
	last := f.commit(5)
	f.check(last)
	if f.stream.Stats().Stalls.Load() == 0 {
		t.Error("no query was given up: it was not slow enough for this test")
	}
	must(t, f.stop())
}
