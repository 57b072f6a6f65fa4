package publisher

import (
	"context"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

// in fails the test if something does not come to its end.
func in(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(testPatience):
		t.Fatalf("%s does not end", what)
	}
}

// TestPublisher_WhoeverSendsAfterItsEndIsNotKept: the stream waits for its readers.
func TestPublisher_WhoeverSendsAfterItsEndIsNotKept(t *testing.T) {
	p := start(t, nil)
	p.stop()
	sink := p.Sink(changestream.Partition{})
	in(t, "a reader", func() {
		for i := range 20 {
			check(t, sink.Change(record(changestream.ModUpdate, i, 1)))
			sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime})
		}
	})
}

// TestPublisher_AnErrorIsToldOnce: what could not be sent is not tried again by the
// loop, which is the one to be told.
func TestPublisher_AnErrorIsToldOnce(t *testing.T) {
	p := start(t, nil)
	p.stop() // its sockets are closed
	o := &owner{Publisher: p.Publisher, asked: make(tally), rest: rest{batch: p.newBatch()}}
	p.owner = o
	check(t, o.rest.batch.add(&Change{Record: record(changestream.ModUpdate, 1, 1)}, p.opt.Router().Planner(), Native{}, nil))
	o.rest.batch.mark = changestream.Mark{Progress: leased(), Position: commitTime}
	in(t, "the loop", func() {
		for range 3 {
			o.drain(true)
		}
	})
	if err := <-p.failed; err == nil {
		t.Error("sent over a closed socket")
	}
}
