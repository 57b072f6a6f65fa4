package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/topics"
)

var discard = slog.New(slog.DiscardHandler)

// testPatience is how long tests wait for what should come soon.
const testPatience = 60 * time.Second

// subscribeAt subscribes at an endpoint, with a key if there is one.
func subscribeAt(t *testing.T, at access.Bound, key access.SecretKey, prefixes ...string) *subscriber {
	t.Helper()
	z := harness.Socket(t, zmq.SUB)
	check(t, errors.Join(z.SetRcvtimeo(testPatience), z.SetRcvhwm(0), z.SetReconnectIvl(20*time.Millisecond)))
	for _, p := range prefixes {
		check(t, z.SetSubscribe(p))
	}
	if !key.IsZero() {
		check(t, access.SecureClient(z, key, at.Key))
	}
	check(t, z.Connect(at.Endpoint))
	return &subscriber{t, z}
}

// subscribeSlow subscribes with next to no room for what was not received yet.
func subscribeSlow(t testing.TB, at access.Bound, prefix string) *subscriber {
	t.Helper()
	z := harness.Socket(t, zmq.SUB)
	check(t, errors.Join(z.SetRcvtimeo(testPatience), z.SetRcvhwm(1), z.SetRcvbuf(4096), z.SetSubscribe(prefix), z.Connect(at.Endpoint)))
	return &subscriber{t, z}
}

// tableRecord is a record of another table than record's.
func tableRecord(table string, seq, n int) *changestream.DataChangeRecord {
	rec := record(changestream.ModUpdate, seq, n)
	schema := *rec.Schema
	schema.Table = table
	rec.Schema = &schema
	return rec
}

func flush(t testing.TB, s changestream.Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	check(t, s.Flush(ctx, changestream.Mark{Progress: leased(), Position: commitTime}))
}

func bound(p *running, audience string) access.Bound { return p.Bound(audience)[0] }

// threeAudiences publishes to some, to one table of them, and to everybody.
func threeAudiences(o *Options) {
	local := []string{"tcp://127.0.0.1:*"}
	o.Bind = nil
	o.Audiences = []Audience{
		{Name: "sales", Topics: []string{"Orders/", "Invoices/"}, Bind: local, Hello: func() message.HelloBody { return message.HelloBody{Server: "sales"} }},
		{Name: "updates", Topics: []string{"Orders/UPDATE/"}, Bind: local},
		{Name: "all", Topics: []string{""}, Bind: local},
	}
}

// TestAudiences_CountWhatTheyCarry: the counters of a level that an audience
// sees in part have no gaps there, and nothing else comes out.
func TestAudiences_CountWhatTheyCarry(t *testing.T) {
	p := start(t, threeAudiences)
	sales, updates, all := subscribeAt(t, bound(p, "sales"), access.SecretKey{}, ""), subscribeAt(t, bound(p, "updates"), access.SecretKey{}, ""), subscribeAt(t, bound(p, "all"), access.SecretKey{}, "")
	for _, s := range []*subscriber{sales, updates, all} {
		s.until("$resolved/")
	}
	sink := p.Sink(changestream.Partition{})
	for i, table := range []string{"Users", "Orders", "Users", "Invoices", "OrdersArchive", "Orders"} {
		check(t, sink.Change(tableRecord(table, i, 1)))
	}
	insert := tableRecord("Orders", 7, 1)
	insert.ModType = changestream.ModInsert
	check(t, sink.Change(insert))
	flush(t, sink)
	flush(t, sink)
	go p.stop()
	want := map[*subscriber][]string{
		sales:   {"Orders/UPDATE/ 1/1/1", "Invoices/UPDATE/ 2/1/1", "Orders/UPDATE/ 3/2/2", "Orders/INSERT/ 4/3/1"},
		updates: {"Orders/UPDATE/ 1/1/1", "Orders/UPDATE/ 2/2/2"},
		all: {"Users/UPDATE/ 1/1/1", "Orders/UPDATE/ 2/1/1", "Users/UPDATE/ 3/2/2", "Invoices/UPDATE/ 4/1/1", "OrdersArchive/UPDATE/ 5/1/1",
			"Orders/UPDATE/ 6/2/2", "Orders/INSERT/ 7/3/1"},
	}
	for s, lines := range want {
		var got []string
		for {
			m := s.receive()
			if m.topic == message.Bye {
				var bye message.ByeBody
				check(t, json.Unmarshal([]byte(m.body), &bye))
				if bye.Counters[""] != uint64(len(lines)) || s != all && bye.Counters["Users/"] != 0 {
					t.Errorf("goodbye: %+v", bye)
				}
				break
			}
			if level, _, control := message.Control(m.topic); !control {
				got = append(got, m.topic+" "+string(m.header.Counters))
			} else if s != all && strings.HasPrefix(level, "Users") {
				t.Errorf("%s", m.topic)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("got  %q\nwant %q", got, lines)
		}
	}
}

func TestAudiences_SayHelloForThemselves(t *testing.T) {
	p := start(t, threeAudiences)
	if g := subscribeAt(t, bound(p, "sales"), access.SecretKey{}, "$hello/").until("$hello/"); !strings.Contains(g.body, `"server":"sales"`) {
		t.Error(g.body)
	}
}

// TestAudiences_OfRowsAreToldApartByTopic: what depends on the row is looked at
// message by message.
func TestAudiences_OfRowsAreToldApartByTopic(t *testing.T) {
	template, err := topics.ParseTemplate("{table}/{key}/")
	check(t, err)
	router := topics.New("shop", "Everything", template, nil)
	p := start(t, func(o *Options) {
		threeAudiences(o)
		o.Audiences = []Audience{{Name: "one", Topics: []string{"Users/1/"}, Bind: o.Audiences[0].Bind}}
		o.Router = func() *topics.Router { return router }
	})
	s := subscribeAt(t, bound(p, "one"), access.SecretKey{}, "")
	s.until("$resolved/")
	sink := p.Sink(changestream.Partition{})
	check(t, sink.Change(record(changestream.ModUpdate, 0, 20)))
	check(t, sink.Change(record(changestream.ModUpdate, 1, 2)))
	flush(t, sink)
	for _, counters := range []string{"1/1", "2/2"} {
		if m := s.change(); m.topic != "Users/1/" || string(m.header.Counters) != counters {
			t.Errorf("%s %s", m.topic, m.header.Counters)
		}
	}
}

// TestAudiences_WhatNobodySeesCostsNothing: it does not become a message.
func TestAudiences_WhatNobodySeesCostsNothing(t *testing.T) {
	p := start(t, func(o *Options) { threeAudiences(o); o.Audiences = o.Audiences[:2] })
	s := p.Sink(changestream.Partition{}).(*sink)
	unseen := []*changestream.DataChangeRecord{tableRecord("Users", 1, 10), tableRecord("Users", 2, 10)}
	unseen[1].LastInTransaction = !unseen[0].LastInTransaction // they are not alike
	if n := testing.AllocsPerRun(1000, func() { check(t, errors.Join(s.Change(unseen[0]), s.Change(unseen[1]))) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if b := s.batch; len(b.entries)+len(b.records)+len(b.data) != 0 {
		t.Errorf("%d messages, %d records, %d bytes", len(b.entries), len(b.records), len(b.data))
	}
	check(t, s.Change(tableRecord("Orders", 0, 10)))
	if n := len(s.batch.entries); n != 10 {
		t.Errorf("%d messages, want 10", n)
	}
	flush(t, s)
}

func TestSetTopics_TakesEffectWhileMessagesFlow(t *testing.T) {
	p := start(t, threeAudiences)
	s := subscribeAt(t, bound(p, "updates"), access.SecretKey{}, "")
	s.until("$resolved/")
	sink := p.Sink(changestream.Partition{})
	send := func() {
		t.Helper()
		check(t, sink.Change(tableRecord("Orders", 0, 1)))
		check(t, sink.Change(tableRecord("Users", 0, 1)))
		flush(t, sink)
		check(t, p.Drained(context.Background()))
	}
	send()
	p.SetTopics("updates", []string{"Users/"})
	send()
	p.SetTopics("updates", []string{"Users/", "Orders/"})
	send()
	for _, want := range []string{"Orders/UPDATE/ 1/1/1", "Users/UPDATE/ 2/1/1", "Orders/UPDATE/ 3/2/2", "Users/UPDATE/ 4/2/2"} {
		if m := s.change(); m.topic+" "+string(m.header.Counters) != want {
			t.Errorf("%s %s, want %s", m.topic, m.header.Counters, want)
		}
	}
}
