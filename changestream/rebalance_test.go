package changestream

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"
)

// A plan is made before a commit, and followed after it. What was lost in between,
// to admin release for example, is not there any more to be handed over.
func TestRebalance_LeavesOutWhatTheCommitHasLost(t *testing.T) {
	var drained atomic.Int64
	c := newScheduler(&Stream{opt: Options{
		Replica: Replica{ID: "me"}, CheckpointInterval: time.Second, Lease: time.Minute, DrainTimeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		Drained: func(context.Context) error { drained.Add(1); return nil },
	}})
	kept := &task{token: "kept", cancel: func() {}, done: make(chan struct{})}
	close(kept.done)
	c.tasks["kept"] = kept
	c.balance.surplus = time.Now().Add(-time.Hour)
	c.balance.plan.give = map[PartitionToken]string{"lost": "other", "kept": "other"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.rebalance(ctx)
	select {
	case group := <-c.drained:
		if len(group) != 1 || group[0] != kept || kept.to != "other" || drained.Load() != 1 {
			t.Errorf("to be handed over: %+v", group)
		}
	case <-ctx.Done():
		t.Fatal("nothing is handed over")
	}
	c.beside.Wait()
}
