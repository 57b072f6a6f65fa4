package publisher

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/topics"
)

const testEpoch = "00112233445566ff"

// running is a publisher whose Run runs.
type running struct {
	*Publisher
	t      testing.TB
	cancel context.CancelFunc
	result chan error
}

func start(t testing.TB, change func(*Options)) *running {
	t.Helper()
	p := opened(t, change)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Publisher: p, t: t, cancel: cancel, result: make(chan error, 1)}
	go func() { r.result <- p.Run(ctx) }()
	t.Cleanup(func() { r.stop() })
	return r
}

// opened is a publisher whose Run does not run.
func opened(t testing.TB, change func(*Options)) *Publisher {
	t.Helper()
	template, err := topics.ParseTemplate(topics.Default)
	if err != nil {
		t.Fatal(err)
	}
	router := topics.New("shop", "Everything", template, nil)
	o := Options{
		Epoch: testEpoch, Bind: []string{"tcp://127.0.0.1:*"}, SendHWM: 20000, Slow: SlowDrop, BlockTimeout: time.Second, MaxBuffer: 1 << 20,
		ResolvedInterval: 20 * time.Millisecond, Linger: 5 * time.Second,
		Router: func() *topics.Router { return router }, NewBody: func() Body { return Native{} }, Ignore: func(string) bool { return false },
		Resolved: func() (time.Time, time.Time) { return commitTime, commitTime.Add(-time.Second) },
		Hello:    func() message.HelloBody { return message.HelloBody{Format: message.Format, Epoch: testEpoch} },
		Log:      slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stop ends the publisher in order.
func (r *running) stop() {
	r.cancel()
	select {
	case err := <-r.result:
		if err != nil {
			r.t.Error(err)
		}
		r.result <- nil
	case <-time.After(testPatience):
		r.t.Error("the publisher did not end")
	}
}

// subscriber is a plain SUB socket.
type subscriber struct {
	t *testing.T
	z *zmq.Socket
}

func (r *running) subscribe(t *testing.T, prefixes ...string) *subscriber {
	t.Helper()
	ctx, err := zmq.NewContext()
	check(t, err)
	z, err := ctx.NewSocket(zmq.SUB)
	check(t, err)
	t.Cleanup(func() { z.SetLinger(0); z.Close(); ctx.Term() })
	check(t, z.SetRcvtimeo(testPatience))
	check(t, z.SetRcvhwm(0))
	for _, p := range prefixes {
		check(t, z.SetSubscribe(p))
	}
	check(t, z.Connect(r.Endpoints()[0]))
	return &subscriber{t, z}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got is a message as it was received.
type got struct {
	topic  string
	header message.Header
	body   string
}

func (s *subscriber) receive() got {
	s.t.Helper()
	frames, err := s.z.RecvMessageBytes(0)
	check(s.t, err)
	if len(frames) != 3 {
		s.t.Fatalf("%d frames: %q", len(frames), frames)
	}
	h, err := message.ParseHeader(frames[1])
	if err != nil {
		s.t.Fatalf("%q: %v", frames, err)
	}
	if string(h.Epoch) != testEpoch {
		s.t.Fatalf("epoch %s", h.Epoch)
	}
	return got{string(frames[0]), h, string(frames[2])}
}

// until receives up to the first message of a topic.
func (s *subscriber) until(topic string) got {
	s.t.Helper()
	for {
		if g := s.receive(); g.topic == topic {
			return g
		}
	}
}

// change receives the next change, passing over control messages.
func (s *subscriber) change() got {
	s.t.Helper()
	for {
		g := s.receive()
		if _, _, control := message.Control(g.topic); !control {
			return g
		}
	}
}

func leased() *changestream.Progress {
	p := changestream.NewProgress(commitTime)
	p.Lease(time.Now().Add(time.Hour))
	return p
}

// record makes a record of the table Users with n mods.
func record(op changestream.ModType, seq, n int) *changestream.DataChangeRecord {
	c := testChange(op, created, `{}`)
	c.Record.RecordSequence = fmt.Appendf(nil, "%08d", seq)
	c.Record.Mods = nil
	for i := range n {
		c.Record.Mods = append(c.Record.Mods, changestream.Mod{Keys: fmt.Appendf(nil, `{"id":"%d"}`, i), NewValues: []byte(created), OldValues: []byte(`{}`)})
	}
	return c.Record
}

func TestPublisher_FramesOfAChange(t *testing.T) {
	p := start(t, nil)
	s := p.subscribe(t, "")
	s.until("$resolved/") // the subscription is active
	sink, progress := p.Sink(changestream.Partition{Token: "token"}), leased()
	rec := record(changestream.ModUpdate, 7, 2)
	rec.TransactionTag, rec.SystemTransaction = []byte(`a"b`), true
	check(t, sink.Change(rec))
	check(t, sink.Change(record(changestream.ModDelete, 8, 1)))
	check(t, sink.Flush(context.Background(), changestream.Mark{Progress: progress, Position: commitTime.Add(time.Second)}))

	schema := s.until("Users/$schema/")
	if !strings.Contains(schema.body, `"schema":"00112233aabbccdd"`) || !strings.Contains(schema.body, `"name":"first_name"`) || string(schema.header.Counters) != "0/0" {
		t.Errorf("schema: %s, %+v", schema.header.Counters, schema.body)
	}
	for i, want := range []struct{ topic, version, counters, attributes, body string }{
		{"Users/UPDATE/", "2026-11-20T09:54:00.123456000Z/NTQ5MTAx/00000007/0", "1/1/1",
			`{"table":"Users","op":"UPDATE","capture":"OLD_AND_NEW_VALUES","schema":"00112233aabbccdd","records":2,"partitions":1,"last":true,"tag":"a\"b","system":true}`,
			`{"keys":{"id":"0"},"new_values":` + created + `,"old_values":{}}`},
		{"Users/UPDATE/", "2026-11-20T09:54:00.123456000Z/NTQ5MTAx/00000007/1", "2/2/2", "", ""},
		{"Users/DELETE/", "2026-11-20T09:54:00.123456000Z/NTQ5MTAx/00000008/0", "3/3/1",
			`{"table":"Users","op":"DELETE","capture":"OLD_AND_NEW_VALUES","schema":"00112233aabbccdd","records":2,"partitions":1,"last":true}`, ""},
	} {
		g := s.change()
		if g.topic != want.topic || string(g.header.Version) != want.version || string(g.header.Counters) != want.counters {
			t.Errorf("message %d: %s %s %s", i, g.topic, g.header.Version, g.header.Counters)
		}
		if want.attributes != "" && string(g.header.Attributes) != want.attributes {
			t.Errorf("attributes %s\nwant       %s", g.header.Attributes, want.attributes)
		}
		if want.body != "" && g.body != want.body {
			t.Errorf("body %s\nwant %s", g.body, want.body)
		}
	}
	check(t, p.Drained(context.Background()))
	if !progress.Position().Equal(commitTime.Add(time.Second)) {
		t.Errorf("position %v", progress.Position())
	}
	g := s.until("Users/UPDATE/$resolved/")
	if want := `{"replica":"2026-11-20T09:54:00.123456000Z","fleet":"2026-11-20T09:53:59.123456000Z","dropped":0,"directory":"cbf29ce484222325"}`; g.body != want || string(g.header.Counters) != "3/3/2" {
		t.Errorf("resolved: %s %s", g.header.Counters, g.body)
	}
}

func TestPublisher_AnswersANewSubscriptionAtOnce(t *testing.T) {
	p := start(t, func(o *Options) { o.ResolvedInterval = time.Hour })
	sink := p.Sink(changestream.Partition{})
	check(t, sink.Change(record(changestream.ModUpdate, 0, 3)))
	check(t, sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime}))
	check(t, p.Drained(context.Background()))
	for prefix, want := range map[string]string{"": "3", "Users/": "3/3", "Users/UPDATE/": "3/3/3", "Users/INSERT/": "3/3/0", "No/Such/Table/": "3/0/0/0"} {
		s := p.subscribe(t, prefix)
		if g := s.until(prefix + "$resolved/"); string(g.header.Counters) != want {
			t.Errorf("%q: counters %s, want %s", prefix, g.header.Counters, want)
		}
	}
	s := p.subscribe(t, "$hello/")
	if g := s.receive(); g.topic != "$hello/" || !strings.Contains(g.body, `"format":1`) {
		t.Errorf("hello: %s %s", g.topic, g.body)
	}
}

func TestPublisher_AnnouncesGapsToThoseWhoComeLater(t *testing.T) {
	p := start(t, nil)
	p.Gap(changestream.Gap{Partition: "token", From: commitTime, To: commitTime.Add(time.Hour), Policy: changestream.GapSkip})
	for _, prefix := range []string{"", "$gap/"} {
		g := p.subscribe(t, prefix).until("$gap/")
		if want := `{"partition":"` + changestream.PartitionToken("token").Short() + `","from":"2026-11-20T09:54:00.123456000Z","to":"2026-11-20T10:54:00.123456000Z","policy":"skip"}`; g.body != want {
			t.Errorf("%q: %s", prefix, g.body)
		}
	}
}

func TestPublisher_SaysGoodbyeWithFinalCounters(t *testing.T) {
	p := start(t, nil)
	s := p.subscribe(t, "")
	s.until("$resolved/")
	sink := p.Sink(changestream.Partition{})
	check(t, sink.Change(record(changestream.ModUpdate, 0, 1000)))
	check(t, sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime}))
	check(t, p.Drained(context.Background()))
	go p.stop()
	g := s.until("$bye/")
	var bye message.ByeBody
	check(t, json.Unmarshal([]byte(g.body), &bye))
	if bye.Epoch != testEpoch || bye.Counters["Users/UPDATE/"] != 1000 || bye.Counters[""] != 1000 || string(g.header.Counters) != "1000" {
		t.Errorf("%s %+v", g.header.Counters, bye)
	}
}

func TestPublisher_PublishesNothingWithoutALease(t *testing.T) {
	p := start(t, nil)
	s := p.subscribe(t, "")
	s.until("$resolved/")
	lost, held := changestream.NewProgress(commitTime), leased()
	lost.Lease(time.Now().Add(-time.Millisecond))
	for _, progress := range []*changestream.Progress{lost, held} {
		sink := p.Sink(changestream.Partition{})
		check(t, sink.Change(record(changestream.ModUpdate, map[bool]int{true: 1, false: 0}[progress == lost], 1)))
		check(t, sink.Flush(context.Background(), changestream.Mark{Progress: progress, Position: commitTime.Add(time.Second), End: true}))
	}
	if g := s.change(); !strings.HasSuffix(string(g.header.Version), "/00000000/0") || string(g.header.Counters) != "1/1/1" {
		t.Errorf("got %s %s", g.header.Version, g.header.Counters)
	}
	check(t, p.Drained(context.Background()))
	if !lost.Position().Equal(commitTime) || p.Stats().Fenced.Load() != 1 {
		t.Errorf("a position moved without a lease: %v, %d fenced", lost.Position(), p.Stats().Fenced.Load())
	}
	if !held.Position().Equal(commitTime.Add(time.Second)) {
		t.Errorf("position %v", held.Position())
	}
}

func TestPublisher_HoldsChangesUntilSomebodySubscribes(t *testing.T) {
	p := start(t, func(o *Options) { o.RequireSubscriber = true })
	sink, progress := p.Sink(changestream.Partition{}), leased()
	check(t, sink.Change(record(changestream.ModUpdate, 0, 5)))
	check(t, sink.Flush(context.Background(), changestream.Mark{Progress: progress, Position: commitTime.Add(time.Second)}))
	if err := p.Drained(context.Background()); err == nil || !strings.Contains(err.Error(), "nobody is subscribed") {
		t.Errorf("drained without a subscriber: %v", err)
	}
	if !progress.Position().Equal(commitTime) {
		t.Error("the position moved")
	}
	s := p.subscribe(t, "Users/")
	for i := 1; i <= 5; i++ {
		if g := s.change(); string(g.header.Counters) != fmt.Sprintf("%d/%d/%d", i, i, i) {
			t.Errorf("message %d: %s", i, g.header.Counters)
		}
	}
	check(t, p.Drained(context.Background()))
}

func TestPublisher_BoundsWhatWaits(t *testing.T) {
	p := start(t, func(o *Options) { o.RequireSubscriber, o.MaxBuffer = true, 10_000 })
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	sink := p.Sink(changestream.Partition{})
	blocked := make(chan int, 1)
	go func() {
		n := 0
		for ; ; n++ {
			short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
			sink.Change(record(changestream.ModUpdate, n, 10))
			err := sink.Flush(short, changestream.Mark{Progress: leased(), Position: commitTime})
			stop()
			if err != nil {
				break
			}
		}
		blocked <- n
	}()
	select {
	case n := <-blocked:
		if n == 0 || n > 10 {
			t.Errorf("%d batches went into 10 KB", n)
		}
	case <-ctx.Done():
		t.Fatal("nothing held the batches back")
	}
	if b := p.Stats().Buffered.Load(); b > 10_000 || b == 0 {
		t.Errorf("%d bytes are buffered", b)
	}
	// One that is larger than all there is still passes, alone.
	p.subscribe(t, "").until("$resolved/")
	check(t, p.Drained(ctx))
	big := p.Sink(changestream.Partition{})
	big.Change(record(changestream.ModUpdate, 0, 500))
	check(t, big.Flush(ctx, changestream.Mark{Progress: leased(), Position: commitTime}))
	check(t, p.Drained(ctx))
}

func TestPublisher_OneStalledSubscriberLosesAlone(t *testing.T) {
	const n = 3000
	p := start(t, func(o *Options) { o.SendHWM, o.MaxBuffer = 100, 64<<20 })
	stalled := p.subscribe(t, "Users/")
	stalled.until("Users/$resolved/")
	check(t, stalled.z.SetRcvhwm(1)) // from here on it does not read
	reader := p.subscribe(t, "Users/UPDATE/")
	reader.until("Users/UPDATE/$resolved/")
	var wg sync.WaitGroup
	var read atomic.Int64
	wg.Go(func() {
		defer read.Store(n)
		for i := 1; i <= n; i++ {
			g := reader.change()
			if c, _ := g.header.Counter(2); c != uint64(i) {
				t.Errorf("message %d has counter %d", i, c)
				return
			}
			read.Store(int64(i))
		}
	})
	sink := p.Sink(changestream.Partition{})
	for i := range n { // large enough to fill the kernel's buffers
		// Who reads must keep up, however busy the machine is.
		waitFor(t, "the reader", func() bool { return read.Load() >= int64(i)-50 })
		rec := record(changestream.ModUpdate, i, 1)
		rec.Mods[0].NewValues = []byte(`{"email":"` + strings.Repeat("x", 10_000) + `"}`)
		check(t, sink.Change(rec))
		check(t, sink.Flush(context.Background(), changestream.Mark{Progress: leased(), Position: commitTime}))
	}
	wg.Wait()
	check(t, p.Drained(context.Background()))
	if p.Stats().Slow.Load() == 0 {
		t.Error("nobody was noticed to be slow")
	}
}

func TestNew_ExplainsWhatIsWrongWithAnEndpoint(t *testing.T) {
	p := start(t, nil)
	for endpoint, want := range map[string]string{
		p.Endpoints()[0]:           "another process has the port",
		"tcp://203.0.113.7:5556":   "no such address",
		"http://127.0.0.1:5556":    "looks like tcp://",
		"127.0.0.1:5556":           "looks like tcp://",
		"tcp://127.0.0.1:notaport": "looks like tcp://",
	} {
		_, err := New(Options{Bind: []string{endpoint}, MaxBuffer: 1})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("%s: %v, want %q", endpoint, err, want)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no endpoint at all was accepted")
	}
}
