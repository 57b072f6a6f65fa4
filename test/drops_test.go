package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/test/harness"
)

// bulk is a table of a stormy fleet with rows that are large enough to fill
// queues.
const bulk = "Bulk"

// TestSubscriber_OutlivesRealDrops: queues of 200 messages, and a subscriber
// that stops handling while so much is published that libzmq drops, at the
// high-water mark: that is announced, counted, noticed and recovered, while
// partitions split, merge and move, and in the second round a replica is killed.
func TestSubscriber_OutlivesRealDrops(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 7, 0, "SPANCAST_SEND_HWM", "200", "SPANCAST_RESOLVED_INTERVAL", "100ms")
	began := f.commit(0, "Orders", "Users")
	stalled := f.listen("stalled", subscriber.Options{Since: began, Queue: 1})
	all := f.listen("all", subscriber.Options{Since: began})
	audience := []*listener{stalled, all, f.listen("follower", subscriber.Options{Since: began, Follow: true})}
	raw, _ := f.raw()
	for _, l := range audience {
		l.until(began)
	}
	n := 0
	for round := range 2 {
		before := len(announced(t, raw))
		resume := stalled.stall()
		for deadline := time.Now().Add(2 * harness.Patience); len(announced(t, raw)) == before; {
			if time.Now().After(deadline) {
				t.Fatalf("%d rows, and nothing was dropped", n)
			}
			f.flood(n, 100)
			n += 100
			all.handled(bulk+"/", n)
			if n%500 > 0 {
				continue
			}
			if err := f.server.Churn(f.Name, shopStream, emulator.Step, ""); err != nil && !errors.Is(err, emulator.ErrChurn) {
				t.Error(err)
			}
		}
		if round == 1 {
			f.places[0].replica.Kill()
			f.start(f.places[0])
		}
		resume()
		last := f.commit(round, "Orders", "Users")
		for _, l := range audience {
			l.until(last)
			l.check()
		}
		if s := stalled.sub.Stats(); s.Gaps == 0 || s.Lost == 0 || s.Replayed == 0 {
			t.Errorf("the stalled subscriber has noticed nothing: %+v", s)
		}
	}
	for _, p := range f.places {
		p.replica.Stop()
	}
}

// flood commits new rows of 6 KB each, from a number on.
func (f *stormy) flood(from, rows int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	var mutations []*spanner.Mutation
	for i := range rows {
		mutations = append(mutations, spanner.Insert(bulk, []string{"Id", "V"}, []any{from + i, fmt.Sprint(from+i, strings.Repeat(" bulk", 1200))}))
	}
	at, err := f.Client.Apply(ctx, mutations)
	if err != nil {
		f.t.Error(err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range rows {
		row := fmt.Sprintf("%s %d", bulk, from+i)
		f.committed[row] = append(f.committed[row], fmt.Sprintf("%s %s", message.FormatTime(at), fmt.Sprint(from+i, strings.Repeat(" bulk", 1200))))
	}
}

// announced are the drops that resolved messages tell of, by epoch, each time
// that they have become more.
func announced(t *testing.T, raw *harness.Subscriber) (out []string) {
	t.Helper()
	last := make(map[string]uint64)
	for _, m := range raw.Messages() {
		if m.Kind != message.Resolved {
			continue
		}
		var body message.ResolvedBody
		if err := json.Unmarshal(m.Body, &body); err != nil {
			t.Fatal(err)
		}
		epoch := string(m.Header.Epoch)
		if body.Dropped > last[epoch] {
			last[epoch] = body.Dropped
			out = append(out, fmt.Sprintf("%s %d", epoch, body.Dropped))
		}
	}
	return out
}
