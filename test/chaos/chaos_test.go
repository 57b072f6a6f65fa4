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

// TestChaos_ShortForm: one of everything that matters most, in a fixed order,
// each when the one before has been got over; for both partition modes, of which
// one is in PostgreSQL.
func TestChaos_ShortForm(t *testing.T) {
	t.Parallel()
	for kind, events := range map[Kind][]event{
		{}: {
			{"split", 0, churn(emulator.Split)},
			{"kill -9 with messages under way", 0, crash},
			{"metadata cut off for longer than the lease", 0, cutLong},
			{"queries end early, and partitions without child record", 0, early},
			{"Spanner restarts", 0, func(a *Arena) bool { return restart(a, a.backend.server) }},
			{"merge", 0, churn(emulator.Merge)},
			{"SIGSTOP for longer than the lease", 0, pauseLong},
			{"queries fail", 0, failing},
			{"SIGTERM", 0, term},
			{"kill -9", 0, kill},
		},
		{PostgreSQL: true, Mutable: true}: {
			{"split", 0, churn(emulator.Split)},
			{"exchange", 0, churn(emulator.Exchange)},
			{"kill -9", 0, kill},
			{"move", 0, churn(emulator.Move)},
			{"kill -9 with messages under way", 0, crash},
			{"queries end early, and key ranges change", 0, early},
			{"merge", 0, churn(emulator.Merge)},
			{"SIGSTOP for longer than the lease", 0, pauseLong},
		},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			o := settings(t)
			o.Kind, o.Sharp, o.Lease = kind, true, 1500*time.Millisecond
			a := NewArena(t, o)
			a.atLeast(3)
			a.begin(o.Seed)
			a.until("some load", func() bool { return a.load.number.Load() > 300 })
			for _, e := range events {
				if a.happen(e); t.Failed() {
					break // the rest of what there is to say, judge will
				}
			}
			a.settle()
			a.judge()
			t.Log(a.summary())
		})
	}
}

const (
	// eventsOfRound is how many events there are before everything comes to rest.
	eventsOfRound = 20
	// roundsOfArena is how many rounds there are before everything is made anew,
	// with another kind of change stream.
	roundsOfArena = 6
)

// TestChaos_AsLongAsAsked is make chaos: rounds of random events until the time
// in CHAOS has passed. The seed of an arena says its kind, too.
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
	all := kinds(t, o.Google)
	total, end := 0, time.Now().Add(d)
	for time.Now().Before(end) && !t.Failed() {
		o.Kind = all[o.Seed%uint64(len(all))]
		t.Run(o.Kind.String(), func(t *testing.T) { total += rounds(t, o, events, end) })
		o.Seed++
	}
	t.Logf("%d changes", total)
}

// rounds makes an arena and lets things happen there until it is time for
// another one. It returns how many changes there were.
func rounds(t *testing.T, o Options, events []event, end time.Time) (changes int) {
	a := NewArena(t, o)
	a.atLeast(3)
	began := time.Now()
	for round := uint64(0); round < roundsOfArena && (round == 0 || time.Now().Before(end)); round++ {
		a.begin(o.Seed + round<<32)
		for range eventsOfRound {
			a.rest(a.between(0, 400*time.Millisecond))
			a.happen(a.draw(events))
		}
		a.settle()
		a.judge()
		t.Logf("round %d, %s: %d changes, no violation", round+1, time.Since(began).Round(time.Second), a.checker.Committed)
	}
	t.Log(a.summary())
	return a.checker.Committed
}
