package chaos

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
)

// settings are those of all forms, but for the seed.
func settings(t *testing.T) Options {
	o := Options{Seed: rand.Uint64(), Writers: 4, Pause: 20 * time.Millisecond, Lease: 2 * time.Second, Lag: 4 * time.Second}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if o.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	return o
}

// TestChaos_ShortForm: one of everything that matters most, in a fixed order.
func TestChaos_ShortForm(t *testing.T) {
	t.Parallel()
	a := NewArena(t, settings(t))
	a.atLeast(3)
	a.begin(a.opt.Seed)
	a.until("some load", func() bool { return a.load.number.Load() > 100 })
	for _, step := range [][]event{
		{{"split", 0, churn(emulator.Split)}, {"split", 0, churn(emulator.Split)}, {"queries fail", 0, failing}},
		{{"kill -9 with messages under way", 0, crash}},
		{{"queries end early, and partitions without child record", 0, early}, {"metadata cut off for longer than the lease", 0, cutLong}},
		{{"merge", 0, churn(emulator.Merge)}, {"Spanner restarts", 0, func(a *Arena) bool { return restart(a, a.backend.server) }}},
		{{"SIGSTOP for longer than the lease", 0, pauseLong}, {"move", 0, churn(emulator.Move)}},
		{{"SIGTERM", 0, term}, {"kill -9", 0, kill}},
	} {
		for _, e := range step {
			a.happen(e)
		}
	}
	a.settle()
	a.judge()
	t.Log(a.summary())
}

// eventsOfRound is how many events there are before everything comes to rest.
const eventsOfRound = 20

// TestChaos_AsLongAsAsked is make chaos: rounds of random events until the time
// in CHAOS has passed.
func TestChaos_AsLongAsAsked(t *testing.T) {
	text := os.Getenv("CHAOS")
	if text == "" {
		t.Skip("CHAOS says for how long; make chaos sets it")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHAOS: %v", err)
	}
	o, events := settings(t), onlyEmbedded()
	if o.Google = os.Getenv("CHAOS_SPANNER") == "google"; o.Google {
		o.Writers, events = 2, everywhere()
	}
	a := NewArena(t, o)
	a.atLeast(3)
	began := time.Now()
	for round := uint64(0); time.Since(began) < d; round++ {
		a.begin(o.Seed + round)
		for range eventsOfRound {
			a.rest(a.between(0, 400*time.Millisecond))
			a.happen(a.draw(events))
		}
		a.settle()
		a.judge()
		t.Logf("round %d, %s: %d changes, no violation", round+1, time.Since(began).Round(time.Second), a.checker.Committed)
	}
	t.Log(a.summary())
}
