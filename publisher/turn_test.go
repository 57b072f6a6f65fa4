package publisher

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

// A feed is a partition's reader, whose records have one schema.
type feed struct {
	t      testing.TB
	sink   changestream.Sink
	mark   changestream.Mark
	schema *changestream.Schema
	seq    int
}

func newFeed(t testing.TB, p *Publisher, token string) *feed {
	return &feed{t: t, sink: p.Sink(changestream.Partition{Token: changestream.PartitionToken(token)}), schema: userSchema(),
		mark: changestream.Mark{Progress: leased(), Position: commitTime}}
}

// next reads a record of a mod for each size of values, and has it published.
func (f *feed) next(ctx context.Context, sizes ...int) {
	f.t.Helper()
	rec := record(changestream.ModUpdate, f.seq, len(sizes))
	rec.Schema, rec.ServerTransactionID = f.schema, []byte(f.sink.(*sink).change.Partition)
	for i, size := range sizes {
		rec.Mods[i].NewValues = []byte(`{"email":"` + strings.Repeat("x", size) + `"}`)
	}
	f.seq++
	if err := f.sink.Change(rec); err != nil {
		f.t.Error(err)
	}
	if err := f.sink.Flush(ctx, f.mark); err != nil {
		f.t.Error(err)
	}
}

func TestPublisher_ReadersSendWhatTheyRead(t *testing.T) {
	p := start(t, nil)
	f := newFeed(t, p.Publisher, "a")
	f.next(t.Context(), 100) // with the schema, which is the loop's
	check(t, p.Drained(t.Context()))
	const n = 200
	own := 0
	for i := range n {
		f.next(t.Context(), 100)
		if p.Stats().Messages.Load() == uint64(i+2) {
			own++ // nobody was waited for
		}
		check(t, p.Drained(t.Context()))
	}
	if own < n/2 { // the loop may have had its turn now and then
		t.Errorf("%d of %d batches were sent when Flush returned", own, n)
	}
}

// twoAudiences publishes everything twice, and has little room for what waits.
func twoAudiences(o *Options) {
	o.SendHWM, o.Slow, o.BlockTimeout, o.MaxBuffer = 10, SlowBlock, testPatience, 64<<20
	local := []string{"tcp://127.0.0.1:*"}
	o.Bind, o.Audiences = nil, []Audience{{Name: "one", Topics: []string{"Users/"}, Bind: local}, {Name: "two", Topics: []string{""}, Bind: local}}
}

// A reader leaves what could take time, a large body and a slow subscriber, to the
// loop, which goes on at that message of that audience.
func TestPublisher_GoesOnWhereAReaderLeftOff(t *testing.T) {
	p := opened(t, twoAudiences)
	o := &owner{Publisher: p, seen: p.coverage.Load(), asked: make(tally)}
	t.Cleanup(func() { p.sockets.close(0) })
	at := func(name string) *subscriber {
		s := subscribeSlow(t, p.Bound(name)[0], "Users/")
		waitFor(t, "the subscription", func() bool {
			check(t, o.look(time.Now()))
			return o.stats.Subscriptions.Load() > 0
		})
		o.stats.Subscriptions.Store(0)
		return s
	}
	one, two := at("one"), at("two")
	p.owner = o
	f := newFeed(t, p, "a")
	f.next(t.Context(), 10)
	if o.rest.batch == nil || o.rest.entry != 0 {
		t.Fatalf("the schema was not left: %+v", o.rest)
	}
	o.goOn()
	f.next(t.Context(), 10, 20, 2*heavy, 30)
	if o.rest.batch == nil || o.rest.entry != 2 {
		t.Fatalf("the large body was not left: %+v", o.rest)
	}
	o.goOn()
	sent := 5
	read := func(s *subscriber, want *int, n int) {
		for ; *want < n; *want++ {
			if c, _ := s.change().header.Counter(0); c != uint64(*want+1) {
				t.Errorf("message %d has counter %d", *want+1, c)
			}
		}
	}
	first, second := 0, 0
	for o.rest.batch == nil && sent < 100_000 { // until the second, who does not read, holds it up
		f.next(t.Context(), 4000, 4000)
		sent += 2
		if o.rest.batch == nil {
			read(one, &first, sent)
			check(t, o.look(time.Now())) // the socket notices that there is room again
		}
	}
	if o.rest.outlet != 1 {
		t.Fatalf("the message was not left for the second audience: %+v", o.rest)
	}
	var work sync.WaitGroup
	work.Go(func() { read(one, &first, sent) })
	work.Go(func() { read(two, &second, sent) })
	o.goOn()
	work.Wait()
	if a, b := o.outlets[0].counters.level("").count, o.outlets[1].counters.level("").count; a != uint64(sent) || b != a {
		t.Errorf("the audiences were sent %d and %d messages, want %d", a, b, sent)
	}
}

// Readers that send at the same time keep the order of each.
func TestPublisher_KeepsTheOrderOfEachReader(t *testing.T) {
	const readers, batches = 3, 300
	sizes := []int{2000, 100, 3000, 2 * heavy, 1000}
	mods := len(sizes)
	p := start(t, twoAudiences)
	var work sync.WaitGroup
	for _, audience := range []string{"one", "two"} {
		s := subscribeSlow(t, bound(p, audience), "Users/")
		s.until("Users/$resolved/")
		work.Go(func() {
			next := make(map[string]int)
			for i := 1; i <= readers*batches*mods; i++ {
				g := s.change()
				if c, _ := g.header.Counter(0); c != uint64(i) {
					t.Errorf("%s: message %d has counter %d", audience, i, c)
					return
				}
				token, place, _ := strings.Cut(strings.SplitN(string(g.header.Version), "/", 2)[1], "/")
				if want := fmt.Sprintf("%08d/%d", next[token]/mods, next[token]%mods); place != want {
					t.Errorf("%s: %s of partition %s, want %s", audience, place, token, want)
					return
				}
				next[token]++
			}
		})
	}
	for i := range readers {
		f := newFeed(t, p.Publisher, fmt.Sprint("reader", i))
		work.Go(func() {
			for range batches {
				f.next(t.Context(), sizes...)
			}
		})
	}
	work.Wait()
	check(t, p.Drained(t.Context()))
}
