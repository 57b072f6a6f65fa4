package changestream_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/emulator"
)

// past makes generations of partitions with changes, and sets the fixture to
// read what lies before it returns.
func past(f *fixture) (began time.Time) {
	f.Helper()
	began = f.commit(1)
	for i := range 40 {
		f.commit(5)
		kind := []emulator.Change{emulator.Split, emulator.Merge, emulator.Move, emulator.Step}[i%4]
		if err := f.server.Churn(testDatabase, testStream, kind, ""); err != nil && !errors.Is(err, emulator.ErrChurn) {
			f.Fatal(err)
		}
	}
	last := f.commit(1)
	f.opt.Start = func(time.Time) time.Time { return began }
	f.opt.End, f.opt.Keep, f.opt.CheckpointLag = last.Add(time.Microsecond), time.Nanosecond, 0
	return began
}

func (f *fixture) same() {
	f.Helper()
	for id, want := range f.rows {
		if got := f.sink.row(id); !slices.Equal(got, want) {
			f.Errorf("row %d: read %q, committed %q", id, got, want)
		}
	}
	if n := f.sink.twice(); n > 0 {
		f.Errorf("%d changes came twice", n)
	}
}

// A stream with an end returns when everything before it was read, over all the
// generations in between; what came at the end or after it is left out, but for
// the timestamp of the end itself.
func TestStream_EndsAtItsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 3})
	past(f)
	rows := make(map[int][]string)
	for id, versions := range f.rows {
		rows[id] = slices.Clone(versions)
	}
	f.commit(30) // beyond the end
	f.rows = rows
	f.begin()
	must(t, f.ended())
	f.same()
}

// The end may lie in a generation that has passed, in the future, or before the
// beginning of every partition.
func TestStream_EndsWhereverTheEndLies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{})
	began := past(f)
	f.commit(5)
	for i, end := range []time.Time{f.server.Now().Add(300 * time.Millisecond), f.opt.End, began.Add(time.Microsecond), began} {
		f.opt.End, f.sink, f.store = end, newRecorder(), checkpoint.NewMemory(f.server.Now)
		f.opt.NewSink, f.opt.Store, f.opt.Replica.ID = f.sink.of, f.store, fmt.Sprint(i)
		f.begin()
		must(t, f.ended())
		if i == 0 {
			f.same()
		}
	}
}

// D3: a query that ends without a child record has not read the partition to
// the end of what is read, if the partition ended before.
func TestStream_DoesNotTakeAnEarlyEndForItsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Faults: emulator.Faults{NoChildRecord: true}})
	past(f)
	f.begin()
	f.until("early ends", func() bool { return f.stream.Stats().EarlyEnds.Load() > 3 })
	select {
	case err := <-f.result:
		t.Fatalf("ended without the children: %v", err)
	default:
	}
	f.server.SetFaults(emulator.Faults{})
	must(t, f.ended())
	f.same()
}
