package subscriber

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var discard = slog.New(slog.DiscardHandler)

// TestMachine_EveryChangeOnceInOrderWhateverHappens: replicas start, stop and
// are killed, partitions move, keys move between partitions, positions are saved late, pipes are cut and drop
// messages, replays fail, the subscriber stops and starts again; and every
// change is handed on once, in the order of its key.
func TestMachine_EveryChangeOnceInOrderWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { storm(t, rules{}) })
}

// storm is one history. It fails t when the subscriber is wrong.
func storm(t *rapid.T, broken rules) {
	topics := rapid.SampledFrom([][]string{{""}, {"A/"}, {"A/", "B/"}, {"A/INSERT/", "A/UPDATE/"}}).Draw(t, "topics")
	w := newWorld(topics, rapid.IntRange(1, 3).Draw(t, "partitions"), t.Fatalf)
	w.breaks = broken
	w.opt.unheard = w.opt.giveUp // time goes by in leaps
	w.start("pub0")
	from := Position{}
	if rapid.Bool().Draw(t, "since") {
		from.Complete, w.from = worldStart.time(), worldStart
	}
	w.subscribe(from)
	steps := rapid.IntRange(10, 150).Draw(t, "steps")
	for range steps {
		w.step(t)
	}
	w.calm()
}

func (w *world) step(t *rapid.T) {
	one := func(n int) int { return rapid.IntRange(0, max(n-1, 0)).Draw(t, "which") }
	i := one(len(w.parts))
	var p *pub
	if len(w.pubs) > 0 {
		p = w.pubs[one(len(w.pubs))]
	}
	endpoint := rapid.SampledFrom([]string{"pub0", "pub1", "pub2"}).Draw(t, "endpoint")
	c := w.pipes[endpoint]
	actions := []string{"commit", "commit", "move", "publish", "publish", "deliver", "deliver", "deliver", "reply", "reply", "time", "take", "save", "resolve",
		"look", "release", "drop", "cut", "mend", "kill", "stop", "start", "ghost", "expire", "interrupt", "silence", "restart", "late", "drain", "drain"}
	switch action := rapid.SampledFrom(actions).Draw(t, "action"); action {
	case "commit":
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			w.commit(rapid.SampledFrom([]string{"A", "B"}).Draw(t, "table")+string(rune('0'+i)), rapid.SampledFrom([]string{"INSERT", "UPDATE", "DELETE"}).Draw(t, "op"))
		}
	case "move":
		w.move(rapid.SampledFrom([]string{"A", "B"}).Draw(t, "table")+string(rune('0'+i)), one(len(w.parts)))
	case "publish":
		w.publish(i, rapid.IntRange(1, 10).Draw(t, "n"))
	case "deliver":
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			w.deliver(endpoint)
		}
	case "reply":
		for range rapid.IntRange(1, 10).Draw(t, "n") {
			w.reply()
		}
	case "drain":
		for w.deliver(endpoint) || w.reply() {
		}
	case "time":
		w.now += instant(time.Duration(rapid.SampledFrom([]int{10, 100, 300, 3000, 6000}).Draw(t, "ms")) * time.Millisecond)
		w.m.tick(w.now)
		w.settle(-1)
	case "release":
		w.release(i)
	case "interrupt":
		w.interrupt()
	case "silence":
		w.asked = nil // no answer will come
	case "expire":
		w.expire()
	case "ghost":
		w.ghost(i)
	case "start":
		w.maybeStart(endpoint)
	case "restart":
		w.restart(t)
	default:
		if p != nil {
			w.replica(t, action, p, i)
		}
		if c != nil {
			w.network(t, action, endpoint, c)
		}
	}
}

func (w *world) maybeStart(endpoint string) {
	for _, p := range w.pubs {
		if p.endpoint == endpoint {
			return
		}
	}
	w.start(endpoint)
}

func (w *world) replica(t *rapid.T, action string, p *pub, i int) {
	switch action {
	case "take":
		w.take(p, i)
	case "save":
		w.save(p)
	case "late": // its row is too old, and so it is not listed until it is saved again
		w.rows = slices.DeleteFunc(w.rows, func(epoch string) bool { return epoch == p.epoch })
	case "look":
		w.look(p)
	case "resolve":
		w.resolveAll(p)
	case "kill":
		w.kill(p, rapid.IntRange(0, 5).Draw(t, "come through"))
	case "stop":
		w.stop(p)
	}
}

func (w *world) network(t *rapid.T, action, endpoint string, c *pipe) {
	switch action {
	case "drop": // as at the high-water mark: a run of messages
		from := rapid.IntRange(0, len(c.queue)).Draw(t, "from")
		to := rapid.IntRange(from, len(c.queue)).Draw(t, "to")
		c.queue = append(c.queue[:from:from], c.queue[to:]...)
	case "cut":
		c.cut, c.queue = true, nil
	case "mend":
		if c.cut {
			c.cut = false
			w.greet(endpoint)
		}
	}
}

// restart stops the subscriber in order and starts it from its position, as it
// is read from a file.
func (w *world) restart(t *rapid.T) {
	p, ok := w.m.position()
	if !ok {
		return // nothing was handled yet; it would begin anew
	}
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Position
	if err := back.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if w.from == 0 {
		w.from = w.m.complete
	}
	w.subscribe(back)
}
