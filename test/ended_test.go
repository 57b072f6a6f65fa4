package test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
)

// TestServe_TellsWhoHasEnded: a replica that has ended in order is in nobody's
// directory any more, but for a minute hellos say that there was one, for those
// who have never heard of it.
func TestServe_TellsWhoHasEnded(t *testing.T) {
	t.Parallel()
	s := newShop(t, embedded(t, emulator.Options{MinHeartbeat: 50 * time.Millisecond}).Addr())
	stays, goes := harness.Serve(t, s.env), harness.Serve(t, s.env)
	sub := harness.Subscribe(t, []string{stays.Endpoint}, message.Hello)
	hello := func(ok func(message.HelloBody) bool) func([]*harness.Message) bool {
		return func(all []*harness.Message) bool {
			var body message.HelloBody
			return len(all) > 0 && json.Unmarshal(all[len(all)-1].Body, &body) == nil && ok(body)
		}
	}
	epoch := ""
	sub.Until("a hello that lists both", hello(func(h message.HelloBody) bool {
		for _, e := range h.Endpoints {
			if e.Epoch != h.Epoch {
				epoch = e.Epoch
			}
		}
		return len(h.Endpoints) == 2
	}))
	goes.Stop()
	sub.Until("a hello that says who has ended", hello(func(h message.HelloBody) bool {
		return len(h.Endpoints) == 1 && slices.Contains(h.Ended, epoch) && slices.Contains(h.Former, epoch)
	}))
	status, stdout, stderr := harness.Run(t, s.env, "status")
	if status != 0 || strings.Contains(stdout, "ended/") || strings.Contains(stdout, epoch) {
		t.Errorf("status: %d\n%s%s", status, stdout, stderr)
	}
	stays.Stop()
}
