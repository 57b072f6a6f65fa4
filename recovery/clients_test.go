package recovery_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/test/wait"
)

// A client that does not know the protocol is told so, and harms nobody.
func TestRequests_ThatAreWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Authorize = func(r recovery.Request) error {
		if len(r.Topics) > 0 && r.Topics[0] == "secret/" || len(r.Tables) > 0 && r.Tables[0] == "secret" {
			return errors.New("not for you")
		}
		return nil
	}
	f.serve()
	f.commit(5)
	c := f.client()
	ok := `"topics":[""],"from":"` + message.FormatTime(f.began) + `","to":"now"`
	for _, bad := range [][]string{
		{"REPLAY"}, {""}, {"REPLAY", "{}", "more"}, {"", ""}, {"REPLAY", ""}, {"REPLAY", "{"}, {"REPLAY", "[]"}, {"REPLAY", `{"id":7}`}, {"REPLAY", `{"id":""}`},
		{"REPLAY", `{"id":"ä"}`}, {"REPLAY", `{"id":"` + strings.Repeat("x", 65) + `"}`}, {"replay", `{"id":"a"}`}, {"\x00\xff", `{"id":"a"}`},
		{"REPLAY", `{"id":"a"}`}, {"REPLAY", `{"id":"a","topics":["x"],"from":"2026-01-01T00:00:00Z"}`}, {"REPLAY", `{"id":"a","topics":[""],"from":"soon"}`},
		{"REPLAY", `{"id":"a","topics":[""],"from":"2026-01-01T00:00:00Z","to":"later"}`}, {"REPLAY", `{"id":"a","topics":[""],"from":"9999-01-01T00:00:00Z","to":"now"}`},
		{"REPLAY", `{"id":"a","credit":{"messages":-1},` + ok + `}`}, {"REPLAY", `{"id":"a","credit":7,` + ok + `}`}, {"REPLAY", `{"id":"a","topics":[""],"from":"` + message.FormatTime(f.server.Now().Add(time.Hour)) + `"}`},
		{"SNAPSHOT", `{"id":"a","tables":"T"}`}, {"SNAPSHOT", `{"id":"a","after":"x"}`}, {"CREDIT", `{"id":"a","messages":-1}`}, {"CREDIT", `{"id":"a","messages":1e40}`},
		{"HELLO", `nonsense`}, {"CANCEL", "null"},
	} {
		c.raw(bad...)
		m := c.next()
		for m.kind == message.Wait {
			m = c.next()
		}
		if failedWith(t, []*answered{m}, message.BadRequest); m.id != "" && m.id != "a" {
			t.Errorf("%q: an answer to %q", bad, m.id)
		}
	}
	c.raw("REPLAY", strings.Replace(`{"id":"d",`+ok+`}`, `[""]`, `["secret/"]`, 1))
	failedWith(t, c.collect("d"), message.Denied)
	c.raw("SNAPSHOT", `{"id":"d","tables":["secret"]}`)
	failedWith(t, c.collect("d"), message.Denied)
	// What concerns no answer does nothing.
	c.raw("CREDIT", `{"id":"none","messages":1}`)
	c.raw("CANCEL", `{"id":"none"}`)
	// An id is one answer's at a time.
	c.raw("REPLAY", `{"id":"x",`+ok+`}`)
	c.raw("REPLAY", `{"id":"x",`+ok+`}`)
	m := c.next()
	for m.kind != message.Failed {
		m = c.next()
	}
	failedWith(t, []*answered{m}, message.BadRequest)
	c.send(message.CommandCancel, message.CancelRequest{ID: "x"})
	failedWith(t, c.collect("x"), message.Canceled)
	// A newer client may say more, and credit has no end.
	c.raw("REPLAY", `{"id":"y","later":{"x":1},"credit":{"messages":9223372036854775807,"bytes":9223372036854775807},`+ok+`}`)
	c.raw("CREDIT", `{"id":"y","messages":9223372036854775807,"bytes":9223372036854775807}`)
	if got := changes(c.collect("y")); len(got) != 5 {
		t.Errorf("%d changes", len(got))
	}
	c.send(message.CommandHello, message.HelloRequest{ID: "h"})
	var hello message.HelloBody
	if last(t, []*answered{c.next()}, message.Hello, &hello); hello.Format != message.Format {
		t.Errorf("%+v", hello)
	}
}

// A client that goes in the middle of an answer, or of a message, leaves nothing
// behind.
func TestClients_ThatVanish(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running = 2
	f.serve()
	f.commit(30)
	for range 5 {
		for _, to := range []string{message.Now, ""} {
			c := f.client()
			c.ask("a", message.Credit{Messages: 3, Bytes: 1 << 20}, to)
			for m := c.next(); m.count < 3; m = c.next() { // now it waits for credit
			}
			c.ask("b", plenty, to)
			c.close()
		}
		c := f.client()
		c.send(message.CommandSnapshot, message.SnapshotRequest{ID: "s", Credit: message.Credit{Messages: 1, Bytes: 1}})
		c.next()
		c.close()
		half(t, f.endpoint)
	}
	s := f.recovery.Stats()
	wait.Until(f, "their answers end", func() bool {
		return s.Running.Load() == 0 && s.Live.Load() == 0 && s.Waiting.Load() == 0 && s.Buffered.Load() == 0
	})
	if got := changes(f.client().replay(message.ReplayRequest{From: message.FormatTime(f.began), To: message.Now})); len(got) != 30 {
		t.Errorf("%d changes", len(got))
	}
}

// half sends the greeting and the first frame of a request, and goes.
func half(t testing.TB, endpoint string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
	must(t, err)
	defer conn.Close()
	greeting := make([]byte, 64)
	copy(greeting, "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL")
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
	_, err = conn.Write(append(greeting, append([]byte{4, byte(len(ready))}, ready...)...))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 64)) // the server's greeting
	must(t, err)
	_, err = conn.Write([]byte("\x01\x06REPLAY\x01\x40{"))
	must(t, err)
}

// At its end the server tells everybody.
func TestServer_SaysThatItEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running = 1
	stop := f.start()
	f.commit(5)
	a, b := f.client(), f.client()
	a.hold("a")
	for m := a.next(); m.count < 5; m = a.next() {
	}
	b.ask("b", plenty, "")
	if m := b.next(); m.topic != message.Wait {
		t.Errorf("%+v", m)
	}
	stop()
	failedWith(t, a.collect("a"), message.Interrupted)
	failedWith(t, b.collect("b"), message.Interrupted)
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	o := f.opt
	o.Bind = []string{f.endpoint}
	if _, err := recovery.New(o); err == nil || !strings.Contains(err.Error(), "bind "+f.endpoint+": address already in use") {
		t.Errorf("%v", err)
	}
	o.Bind, o.Running = nil, 0
	if _, err := recovery.New(o); err == nil || !strings.Contains(err.Error(), "no endpoint") || !strings.Contains(err.Error(), "not positive") {
		t.Errorf("%v", err)
	}
}
