package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/test/wait"
)

// A watch looks at the partitions table all the time: what it says must never
// step back.
type watch struct {
	store *checkpoint.Spanner

	mu     sync.Mutex
	last   map[changestream.PartitionToken]changestream.Partition
	owners map[ownershipKey]string
	faults []string
	looks  int
}

func newWatch(store *checkpoint.Spanner) *watch {
	return &watch{store: store, last: make(map[changestream.PartitionToken]changestream.Partition), owners: make(map[ownershipKey]string)}
}

// run looks every 100 ms until stop is closed.
func (w *watch) run(stop <-chan struct{}) {
	wait.Repeat(100*time.Millisecond, stop, func() { w.look() })
}

// look reads the table; nothing while it cannot be read.
func (w *watch) look() (changestream.View, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	w.mu.Lock() // one look at a time: the order of views must be known
	defer w.mu.Unlock()
	view, err := w.store.View(ctx)
	if err != nil {
		return view, err
	}
	w.looks++
	for _, p := range view.Partitions {
		w.compare(w.last[p.Token], p)
		w.last[p.Token] = p
	}
	return view, nil
}

func (w *watch) compare(was, is changestream.Partition) {
	name := is.Token.Short()
	if is.Position.Before(was.Position) {
		w.fault("position of partition %s stepped back from %s to %s", name, was.Position, is.Position)
	}
	if is.Epoch < was.Epoch {
		w.fault("epoch of partition %s stepped back from %d to %d", name, was.Epoch, is.Epoch)
	}
	if was.State == changestream.Finished && is.State != changestream.Finished {
		w.fault("partition %s was finished and is %s", name, is.State)
	}
	if is.Owner == "" {
		return
	}
	key := ownershipKey{name, is.Epoch}
	if by, known := w.owners[key]; known && by != is.Owner {
		w.fault("partition %s in epoch %d belonged to %s and to %s", name, is.Epoch, by, is.Owner)
	}
	w.owners[key] = is.Owner
}

func (w *watch) fault(format string, args ...any) {
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// found returns the faults so far.
func (w *watch) found() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults
}
