package recovery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
	"github.com/spancast/spancast/topics"
)

const (
	testDatabase = "projects/p/instances/i/databases/shop"
	testStream   = "Everything"
	testEpoch    = "00112233445566ff"
	patience     = 60 * time.Second
)

// A fixture is a database, its change stream, and a recovery endpoint.
type fixture struct {
	testing.TB
	server *emulator.Server
	db     *spanner.Client
	opt    recovery.Options

	endpoint string
	recovery *recovery.Server
	rows     map[string][]string // versions that were committed, by table and row
	began    time.Time
}

var googleDDL = []string{
	"CREATE TABLE T (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)",
	"CREATE TABLE U (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)",
	"CREATE CHANGE STREAM " + testStream + " FOR T, U",
}

var postgresDDL = []string{
	`CREATE TABLE "T" ("Id" bigint PRIMARY KEY, "V" bigint)`,
	`CREATE TABLE "U" ("Id" bigint PRIMARY KEY, "V" bigint)`,
	`CREATE CHANGE STREAM "` + testStream + `" FOR "T", "U"`,
}

// newFixture makes a database on an embedded Spanner.
func newFixture(t testing.TB, o emulator.Options, dialect emulator.Dialect, ddl ...string) *fixture {
	t.Helper()
	if o.MinHeartbeat == 0 {
		o.MinHeartbeat = 50 * time.Millisecond
	}
	server, db := spannerdb.Embedded(t, o, testDatabase, dialect, ddl...)
	f := &fixture{TB: t, server: server, db: db, rows: make(map[string][]string), began: server.Now()}
	f.configure(server.Addr(), testStream)
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) configure(addr, stream string) {
	f.Helper()
	info, err := changestream.Describe(context.Background(), f.db, stream)
	must(f, err)
	template, err := topics.ParseTemplate(topics.Default)
	must(f, err)
	router := topics.New("shop", stream, template, nil)
	f.opt = recovery.Defaults()
	f.opt.Bind, f.opt.Epoch, f.opt.Info, f.opt.Client = []string{"tcp://127.0.0.1:*"}, testEpoch, info, f.db
	f.opt.Dial = spannerdb.Dialer(addr)
	f.opt.QueryWindow, f.opt.Heartbeat = time.Minute, 100*time.Millisecond
	f.opt.Router, f.opt.BodyFormat = func() *topics.Router { return router }, "native"
	f.opt.NewBody = func() publisher.Body { return publisher.Native{} }
	f.opt.Hello = func() message.HelloBody { return message.HelloBody{Format: message.Format, Epoch: testEpoch} }
	f.opt.Log = slog.New(slog.DiscardHandler)
}

// serve runs the endpoint until the test ends.
func (f *fixture) serve() { f.Cleanup(f.start()) }

// start runs the endpoint until stop is called.
func (f *fixture) start() (stop func()) {
	f.Helper()
	var err error
	f.recovery, err = recovery.New(f.opt)
	must(f, err)
	f.endpoint = f.recovery.Endpoints()[0]
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.recovery.Run(ctx) }()
	return func() {
		cancel()
		select {
		case err := <-ended:
			must(f, err)
		case <-time.After(patience):
			f.Error("the server did not end")
		}
	}
}

// commit writes n new versions, over ten rows of two tables, and returns the
// last commit timestamp.
func (f *fixture) commit(n int) (at time.Time) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range n {
		total := 0
		for _, versions := range f.rows {
			total += len(versions)
		}
		table, id := []string{"T", "U"}[total%2], total%20/2
		row := fmt.Sprint(table, " ", id)
		version := len(f.rows[row]) + 1
		var err error
		at, err = f.db.Apply(ctx, []*spanner.Mutation{spanner.InsertOrUpdate(table, []string{"Id", "V"}, []any{id, version})})
		must(f, err)
		f.rows[row] = append(f.rows[row], fmt.Sprint(version))
	}
	return at
}

// churn changes the partitions.
func (f *fixture) churn(i int) {
	f.Helper()
	kind := []emulator.Change{emulator.Split, emulator.Merge, emulator.Move, emulator.Step}[i%4]
	if err := f.server.Churn(testDatabase, testStream, kind, ""); err != nil && !errors.Is(err, emulator.ErrChurn) {
		f.Fatal(err)
	}
}

// A client is a DEALER socket.
type client struct {
	f *fixture
	z *zmq.Socket
}

func (f *fixture) client() *client {
	f.Helper()
	c := &client{f, harness.Socket(f, zmq.DEALER)}
	must(f, errors.Join(c.z.SetRcvhwm(0), c.z.SetSndhwm(0), c.z.Connect(f.endpoint)))
	return c
}

// close returns when the connection has ended.
func (c *client) close() {
	c.f.Helper()
	ctx, err := c.z.Context()
	must(c.f, err)
	c.z.Close()
	ctx.Term()
}

func (c *client) send(command string, body any) {
	c.f.Helper()
	text, err := json.Marshal(body)
	must(c.f, err)
	c.raw(command, string(text))
}

func (c *client) raw(frames ...string) {
	c.f.Helper()
	_, err := c.z.SendMessage(frames)
	must(c.f, err)
}

// An answered is one message of an answer.
type answered struct {
	id, topic string
	kind      string // of a control message
	count     uint64
	version   message.Version
	attrs     message.Attributes
	header    string
	body      string
	size      int64
}

// receive returns the next message, nil when none came for a while.
func (c *client) receive(patience time.Duration) *answered {
	c.f.Helper()
	must(c.f, c.z.SetRcvtimeo(patience))
	frames, err := c.z.RecvMessageBytes(0)
	if err != nil {
		return nil
	}
	if len(frames) != 4 {
		c.f.Fatalf("%d frames: %q", len(frames), frames)
	}
	m := &answered{id: string(frames[0]), topic: string(frames[1]), header: string(frames[2]), body: string(frames[3])}
	for _, frame := range frames {
		m.size += int64(len(frame))
	}
	h, err := message.ParseHeader(frames[2])
	must(c.f, err)
	m.version, err = message.ParseVersion(h.Version)
	must(c.f, err)
	count, ok := h.Counter(0)
	if _, more := h.Counter(1); !ok || more || string(h.Epoch) != testEpoch {
		c.f.Fatalf("header %q", frames[2])
	}
	m.count = count
	if _, m.kind, _ = message.Control(m.topic); m.kind == "" {
		m.attrs, err = message.ParseAttributes(h.Attributes)
		must(c.f, err)
	}
	return m
}

// next returns the next message and fails without one.
func (c *client) next() *answered {
	c.f.Helper()
	m := c.receive(patience)
	if m == nil {
		c.f.Fatal("no answer")
	}
	return m
}

var plenty = message.Credit{Messages: 1 << 40, Bytes: 1 << 40}

// replay asks, and collects the answer to its end.
func (c *client) replay(q message.ReplayRequest) []*answered {
	c.f.Helper()
	if q.ID == "" {
		q.ID = "replay"
	}
	if q.Topics == nil {
		q.Topics = []string{""}
	}
	if q.Credit == (message.Credit{}) {
		q.Credit = plenty
	}
	c.send(message.CommandReplay, q)
	return c.collect(q.ID)
}

// collect collects an answer to its end.
func (c *client) collect(id string) (all []*answered) {
	c.f.Helper()
	for {
		m := c.next()
		if m.id != id {
			c.f.Fatalf("an answer to %q", m.id)
		}
		all = append(all, m)
		if m.kind == message.End || m.kind == message.Gone || m.kind == message.Failed {
			return all
		}
	}
}

// changes are those of an answer that are no control messages.
func changes(all []*answered) (out []*answered) {
	for _, m := range all {
		if m.kind == "" {
			out = append(out, m)
		}
	}
	return out
}

// last is the last message of an answer; its body is read into body.
func last(t testing.TB, all []*answered, topic string, body any) {
	t.Helper()
	m := all[len(all)-1]
	if m.topic != topic {
		t.Fatalf("the answer ends with %s %s, want %s", m.topic, m.body, topic)
	}
	must(t, json.Unmarshal([]byte(m.body), body))
}

// sorted checks versions, counters, and that schemas come before their use.
func sorted(t testing.TB, all []*answered) {
	t.Helper()
	schemas := make(map[string]bool)
	var before *answered
	for _, m := range all {
		if m.kind == message.Schema {
			var s struct{ Table, Schema string }
			must(t, json.Unmarshal([]byte(m.body), &s))
			if schemas[s.Table+s.Schema] {
				t.Errorf("schema %s of %s came twice", s.Schema, s.Table)
			}
			schemas[s.Table+s.Schema] = true
		}
		if m.kind != "" {
			continue
		}
		if !schemas[m.attrs.Table+m.attrs.Schema] {
			t.Errorf("schema %s of %s was not announced", m.attrs.Schema, m.attrs.Table)
		}
		if want := m.attrs.Table + "/" + m.attrs.Op + "/"; m.topic != want {
			t.Errorf("topic %s, want %s", m.topic, want)
		}
		if before != nil && (before.version.Compare(m.version) >= 0 || m.count != before.count+1) {
			t.Errorf("%d %s after %d %s", m.count, m.version, before.count, before.version)
		}
		before = m
	}
}

// versions are the versions of rows in changes, in order.
func versions(all []*answered) map[string][]string {
	out := make(map[string][]string)
	cut := strings.NewReplacer(`{"Id":"`, "", `{"V":"`, "", `"}`, "")
	for _, m := range changes(all) {
		var mods struct {
			Keys json.RawMessage `json:"keys"`
			New  json.RawMessage `json:"new_values"`
		}
		if json.Unmarshal([]byte(m.body), &mods) != nil {
			continue
		}
		row := m.attrs.Table + " " + cut.Replace(string(mods.Keys))
		out[row] = append(out[row], cut.Replace(string(mods.New)))
	}
	return out
}
