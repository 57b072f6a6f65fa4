package h2rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/spancast/spancast/internal/h2rpc"
)

// A call is one as the server sees it.
type call struct {
	headers map[string]string
	request []byte
	pieces  []int // bytes of the frames of the request
	whole   bool  // the request has ended
	reset   []http2.ErrCode
	over    bool        // one side has ended it
	watch   func(*call) // told when the server may send more
	room    int         // bytes that the client may send
	credit  int         // bytes that the server may send
	granted int         // that and what it has sent
}

// A script is a connection to a server that says what a test has it say. It takes
// note of what the client sends, and fails the test when that is no HTTP/2, is more
// than the server's windows allow, or allows the server more than Options do.
type script struct {
	t testing.TB
	*h2rpc.Conn
	opt   h2rpc.Options
	nc    net.Conn // the server's end
	tasks sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	words   *words
	closed  bool
	deaf    bool                     // nothing is read any more
	mute    bool                     // pings are not answered
	react   func(id uint32, c *call) // to a request that is whole; nil: the test does what there is to do

	gone     error // why there is nothing more to read
	calls    map[uint32]*call
	nextID   uint32
	told     map[http2.SettingID]uint32 // by the client
	asked    [][]http2.Setting          // of the client, which has not agreed
	opening  int                        // window with which its streams begin
	maxFrame int
	table    int // bytes of headers that it may refer to; -1: it was not told
	room     int // as those of a call, for all of them
	credit   int
	granted  int
	pings    int
	pongs    []string
	marks    int
}

// play begins a connection.
func play(t testing.TB, changes ...func(*h2rpc.Options)) *script {
	t.Helper()
	o := h2rpc.Options{Scheme: "http", Authority: "script", UserAgent: "test", Streams: 8, Window: testWindow, ConnWindow: 1 << 20, MaxMessage: 1 << 20}
	for _, change := range changes {
		change(&o)
	}
	client, server := net.Pipe()
	s := &script{t: t, opt: o, nc: server, words: newWords(), calls: map[uint32]*call{}, nextID: 1, told: map[http2.SettingID]uint32{}, opening: 65535, maxFrame: 16384, table: -1, room: 65535, credit: 65535, granted: 65535}
	s.changed = sync.NewCond(&s.mu)
	s.words.spent = s.spent
	s.words.asked = func(all []http2.Setting) { s.asked = append(s.asked, all) }
	s.tasks.Go(s.read)
	s.tasks.Go(s.write)
	s.ask()
	var err error
	if s.Conn, err = h2rpc.New(client, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

func (s *script) end() {
	s.Conn.Close()
	s.hangUp()
	s.tasks.Wait()
}

// hangUp closes the server's end.
func (s *script) hangUp() {
	s.nc.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

// say has the server say something.
func (s *script) say(f func(w *words)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.words)
	s.changed.Broadcast()
}

// ask says settings.
func (s *script) ask(all ...http2.Setting) { s.say(func(w *words) { w.settings(all...) }) }

// grant says that the client may send more, of a stream or (0) of all.
func (s *script) grant(id uint32, n int) {
	s.say(func(w *words) {
		w.WriteWindowUpdate(id, uint32(n))
		if id == 0 {
			s.room += n
		} else {
			s.calls[id].room += n
		}
	})
}

func (s *script) spent(id uint32, n int) {
	s.credit -= n
	if c := s.calls[id]; c != nil {
		c.credit -= n
	}
}

// finish ends a call with OK.
func (s *script) finish(id uint32) {
	s.say(func(w *words) {
		w.end(id)
		s.calls[id].over = true
	})
}

// write brings what is said to the client.
func (s *script) write() {
	for {
		s.mu.Lock()
		for s.words.Len() == 0 && !s.closed {
			s.changed.Wait()
		}
		b := bytes.Clone(s.words.Bytes())
		s.words.Reset()
		s.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if _, err := s.nc.Write(b); err != nil {
			return
		}
	}
}

// read takes note of what the client sends.
func (s *script) read() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(s.nc, preface); err != nil || string(preface) != http2.ClientPreface {
		s.t.Errorf("the client begins with %q, %v", preface, err)
	}
	fr := http2.NewFramer(io.Discard, s.nc)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		fr.SetMaxReadFrameSize(uint32(s.maxFrame))
		f, err := fr.ReadFrame()
		s.mu.Lock()
		for s.deaf && !s.closed {
			s.changed.Wait()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				s.t.Errorf("what the client sends is no HTTP/2: %v", err)
			}
			s.gone = err
		} else {
			s.hear(f)
		}
		if s.table >= 0 {
			fr.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(uint32(s.table))
			fr.ReadMetaHeaders.SetMaxDynamicTableSize(uint32(s.table)) // so that a reference to what is gone is an error
			s.table = -1
		}
		s.changed.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hear takes note of a frame.
func (s *script) hear(f http2.Frame) {
	id := f.Header().StreamID
	c := s.calls[id]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		s.heardSettings(f)
	case *http2.MetaHeadersFrame:
		if id != s.nextID || f.StreamEnded() {
			s.t.Errorf("HEADERS of stream %d, not %d, with the end: %v", id, s.nextID, f.StreamEnded())
		}
		c = &call{headers: map[string]string{}, room: s.opening, credit: s.opt.Window, granted: s.opt.Window}
		for _, h := range f.Fields {
			c.headers[h.Name] = h.Value
		}
		s.calls[id], s.nextID = c, id+2
	case *http2.DataFrame:
		n := len(f.Data())
		if c == nil || c.whole || len(c.reset) > 0 || n > c.room || n > s.room {
			s.t.Errorf("DATA of stream %d, %d bytes, where %d may come: %+v", id, n, s.room, c)
			return
		}
		c.room, s.room = c.room-n, s.room-n
		c.request, c.pieces, c.whole = append(c.request, f.Data()...), append(c.pieces, n), f.StreamEnded()
		if c.whole && s.react != nil {
			s.react(id, c)
		}
	case *http2.WindowUpdateFrame:
		s.heardGrant(id, int(f.Increment))
	case *http2.RSTStreamFrame:
		if c == nil {
			s.t.Errorf("RST_STREAM of stream %d", id)
			return
		}
		c.reset, c.over = append(c.reset, f.ErrCode), true
	case *http2.PingFrame:
		if f.IsAck() {
			s.pongs = append(s.pongs, string(f.Data[:]))
		} else if s.pings++; !s.mute {
			s.words.WritePing(true, f.Data)
		}
	default:
		s.t.Errorf("%v", f)
	}
}

func (s *script) heardSettings(f *http2.SettingsFrame) {
	if !f.IsAck() {
		f.ForeachSetting(func(v http2.Setting) error { s.told[v.ID] = v.Val; return nil })
		s.words.WriteSettingsAck()
		return
	}
	if len(s.asked) == 0 {
		s.t.Error("the client agrees to settings that were not sent")
		return
	}
	for _, v := range s.asked[0] {
		switch v.ID {
		case http2.SettingInitialWindowSize:
			for _, c := range s.calls {
				c.room += int(v.Val) - s.opening
			}
			s.opening = int(v.Val)
		case http2.SettingMaxFrameSize:
			s.maxFrame = int(v.Val)
		case http2.SettingHeaderTableSize:
			s.table = int(v.Val)
		}
	}
	s.asked = s.asked[1:]
}

// heardGrant takes note of what the server may send, and that all streams together
// never get more than the connection.
func (s *script) heardGrant(id uint32, n int) {
	if id == 0 {
		s.credit, s.granted = s.credit+n, s.granted+n
		if s.credit > s.opt.ConnWindow {
			s.t.Errorf("the server may send %d bytes", s.credit)
		}
		return
	}
	c := s.calls[id]
	if c == nil {
		s.t.Errorf("WINDOW_UPDATE of stream %d", id)
		return
	}
	c.credit, c.granted = c.credit+n, c.granted+n
	if c.watch != nil {
		c.watch(c)
	}
	all := 0
	for _, c := range s.calls {
		if !c.over {
			all += c.credit
		}
	}
	if all > s.opt.ConnWindow {
		s.t.Errorf("the server may send %d bytes of streams", all)
	}
}

// await waits until something is true of what the script knows.
func (s *script) await(what string, is func() bool) {
	s.t.Helper()
	late := false
	defer time.AfterFunc(10*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	}).Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !is() && !late {
		s.changed.Wait()
	}
	if !is() {
		s.t.Fatalf("not within 10 s: %s", what)
	}
}

// look reads what the script knows.
func (s *script) look(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// watch has a function look at a call whenever the server may send more of it.
func (s *script) watch(id uint32, f func(c *call)) { s.look(func() { s.calls[id].watch = f }) }

// settled waits until the client has taken all that was said, which it does while
// somebody receives.
func (s *script) settled() {
	s.t.Helper()
	var mark string
	s.say(func(w *words) {
		s.marks++
		mark = fmt.Sprintf("%08d", s.marks)
		w.WritePing(false, [8]byte([]byte(mark)))
	})
	s.await("all is read", func() bool { return slices.Contains(s.pongs, mark) && len(s.asked) == 0 })
}

// open begins a call and waits until the server knows it.
func (s *script) open(request string) (*h2rpc.Stream, uint32) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	return s.openWith(ctx, request)
}

func (s *script) openWith(ctx context.Context, request string, headers ...h2rpc.Header) (*h2rpc.Stream, uint32) {
	s.t.Helper()
	var id uint32
	s.look(func() { id = s.nextID })
	st, err := s.Open(ctx, streamMethod, headers, []byte(request))
	if err != nil {
		s.t.Fatal(err)
	}
	s.await("the call", func() bool { return s.calls[id] != nil })
	return st, id
}

// A result is what came of a call.
type result struct {
	messages []string
	err      error // io.EOF: all went well
}

// receive receives until there is an error.
func receive(st *h2rpc.Stream) result {
	var r result
	var m h2rpc.Message
	defer m.Release()
	for r.err = st.Recv(&m); r.err == nil; r.err = st.Recv(&m) {
		r.messages = append(r.messages, string(m.Bytes))
	}
	return r
}

// receive receives while the test goes on.
func (s *script) receive(st *h2rpc.Stream) <-chan result {
	got := make(chan result, 1)
	s.tasks.Go(func() { got <- receive(st) })
	return got
}

// result waits for the end of what receive began.
func (s *script) result(got <-chan result) result {
	s.t.Helper()
	select {
	case r := <-got:
		return r
	case <-time.After(10 * time.Second):
		s.t.Fatal("a call does not end")
		return result{}
	}
}
