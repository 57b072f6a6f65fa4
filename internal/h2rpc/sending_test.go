package h2rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/internal/h2rpc"
)

func TestNew_SaysHowMuchMayCome(t *testing.T) {
	s := play(t)
	s.await("settings and a window", func() bool { return len(s.told) > 0 && s.granted == 1<<20 })
	for id, want := range map[http2.SettingID]uint32{http2.SettingEnablePush: 0, http2.SettingInitialWindowSize: testWindow, http2.SettingMaxHeaderListSize: 64 << 10} {
		if got, ok := s.told[id]; !ok || got != want {
			t.Errorf("%v: %d", id, got)
		}
	}
}

// waiting begins a call that nothing comes of, so that the client reads.
func (s *script) waiting() uint32 {
	st, id := s.open("")
	s.receive(st)
	return id
}

// has checks how many bytes of a request have come, now that there is time for more.
func (s *script) has(id uint32, n int) {
	s.t.Helper()
	s.settled()
	s.look(func() {
		if got := len(s.calls[id].request); got != n {
			s.t.Errorf("%d bytes of the request have come, not %d", got, n)
		}
	})
}

func TestOpen_SendsTheRequestAsTheStreamsWindowAllows(t *testing.T) {
	s := play(t)
	s.waiting()
	s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	s.settled()
	request := strings.Repeat("0123456789", 20)
	st, id := s.open(request)
	got := s.receive(st)
	s.has(id, 0)
	s.grant(id, 3) // not even the head
	s.has(id, 3)
	s.grant(id, 57)
	s.has(id, 60)
	s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}) // 100 more for each
	s.has(id, 160)
	s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 70})
	s.has(id, 160)
	s.grant(id, 30) // which the client owes
	s.has(id, 160)
	s.grant(id, 1)
	s.has(id, 161)
	s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 80})
	s.has(id, 171)
	s.grant(id, 100)
	s.has(id, 205)
	c := s.calls[id]
	if want := framed(request); !c.whole || !bytes.Equal(c.request, want) || !slices.Equal(c.pieces, []int{3, 57, 100, 1, 10, 34}) {
		t.Errorf("the request came as %d bytes in pieces of %d, its end: %v", len(c.request), c.pieces, c.whole)
	}
	s.say(func(w *words) { w.begin(id) })
	s.finish(id)
	if r := s.result(got); !errors.Is(r.err, io.EOF) {
		t.Error(r.err)
	}
	if _, next := s.open(""); s.opening != 80 {
		t.Errorf("stream %d begins with %d", next, s.opening)
	}
}

func TestOpen_SendsRequestsAsTheConnectionsWindowAllows(t *testing.T) {
	s := play(t)
	s.waiting()
	s.settled()
	sent := s.room
	request := strings.Repeat("x", 20_000)
	var ids []uint32
	for range 6 {
		_, id := s.open(request)
		ids = append(ids, id)
	}
	s.settled()
	if s.room != 0 || sent != 65535-5 {
		t.Errorf("%d bytes of %d were not sent", s.room, sent)
	}
	for total := len(ids)*(len(request)+5) - sent; total > 0; total -= 7001 {
		s.grant(0, 7001)
		s.settled()
	}
	for _, id := range ids {
		s.look(func() {
			if c := s.calls[id]; !c.whole || !bytes.Equal(c.request, framed(request)) {
				t.Errorf("stream %d: %d bytes", id, len(c.request))
			}
		})
	}
}

// Windows of streams are there so that one that stands still leaves others alone.
func TestOpen_ARequestThatHasNoRoomLeavesOthersAlone(t *testing.T) {
	s := play(t)
	s.waiting()
	s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	s.settled()
	_, stuck := s.open("first")
	_, other := s.open("second")
	s.grant(other, 1000)
	s.has(other, 11)
	s.has(stuck, 0)
	s.grant(stuck, 1000)
	s.has(stuck, 10)
}

// What has room when a call was given up is for those behind it.
func TestStream_GivenUpBeforeItsRequestWasSent(t *testing.T) {
	s := play(t)
	s.waiting()
	request := strings.Repeat("x", 50_000)
	s.open(request)
	ctx, cancel := context.WithCancel(t.Context())
	st, id := s.openWith(ctx, request)
	_, next := s.open(request)
	s.has(id, 65535-5-50_005)
	cancel()
	if err := s.result(s.receive(st)).err; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	s.await("RST_STREAM", func() bool { return slices.Equal(s.calls[id].reset, []http2.ErrCode{http2.ErrCodeCancel}) })
	s.grant(id, 100)
	s.grant(0, 1<<20)
	s.has(next, 50_005)
}

// A server that answers before it has the request still waits for that:
// PROTOCOL-HTTP2.md, "Early Server Closure".
func TestStream_EndedBeforeItsRequestWasSent(t *testing.T) {
	for name, say := range map[string]func(w *words, id uint32){
		"trailers": func(w *words, id uint32) { w.begin(id); w.end(id) },
		"at once": func(w *words, id uint32) {
			w.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
		},
		"without a status": func(w *words, id uint32) { w.begin(id); w.data(id, true, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t)
			s.waiting()
			s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
			s.settled()
			st, id := s.open("more than ten")
			got := s.receive(st)
			s.say(func(w *words) { say(w, id) })
			s.result(got)
			s.await("RST_STREAM", func() bool { return slices.Equal(s.calls[id].reset, []http2.ErrCode{http2.ErrCodeNo}) })
			s.grant(id, 100)
			s.has(id, 10)
		})
	}
}

func TestOpen_SendsFramesThatTheServerTakes(t *testing.T) {
	s := play(t)
	s.waiting()
	s.grant(0, 1<<20)
	s.ask(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	s.settled()
	request := strings.Repeat("x", 50_000)
	_, id := s.open(request)
	s.has(id, len(request)+5)
	s.ask(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 30_000})
	s.settled()
	_, next := s.open(request)
	s.has(next, len(request)+5)
	if a, b := s.calls[id].pieces, s.calls[next].pieces; !slices.Equal(a, []int{16384, 16384, 16384, 853}) || !slices.Equal(b, []int{30_000, 20_005}) {
		t.Errorf("pieces of %d, then of %d", a, b)
	}
}

func TestOpen_SendsLongHeaders(t *testing.T) {
	s := play(t)
	s.waiting()
	long := strings.Repeat("~", 20_000) // which HPACK makes longer
	_, id := s.openWith(t.Context(), "?", h2rpc.Header{Name: "x-long", Value: long}, h2rpc.Header{Name: "x-too", Value: long})
	s.has(id, 6)
	if c := s.calls[id]; c.headers["x-long"] != long || c.headers["x-too"] != long || c.headers["te"] != "trailers" || c.headers[":path"] != streamMethod {
		t.Errorf("%.1000v", c.headers)
	}
}

func TestOpen_UsesAsMuchOfATableOfHeadersAsTheServerAllows(t *testing.T) {
	s := play(t)
	s.waiting()
	for _, size := range []uint32{0, 200, 4096, 1 << 20, 0, 60} {
		s.ask(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
		s.settled()
		st, id := s.openWith(t.Context(), "?", h2rpc.Header{Name: "x-any", Value: "the same each time"})
		if c := s.calls[id]; c.headers["x-any"] != "the same each time" || c.headers[":authority"] != "script" {
			t.Errorf("with %d bytes: %v", size, c.headers)
		}
		st.Close()
	}
}

func TestLimit_IsWhatTheServerTakes(t *testing.T) {
	s := play(t)
	s.waiting()
	for _, c := range []struct {
		server uint32
		want   int
	}{{3, 3}, {0, 1}, {1, 1}, {1 << 31, 8}, {7, 7}} {
		s.ask(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.server})
		s.settled()
		if got := s.Limit(); got != c.want {
			t.Errorf("the server takes %d: limit %d", c.server, got)
		}
		var all []*h2rpc.Stream
		for range c.want - 1 {
			st, _ := s.open("")
			all = append(all, st)
		}
		if _, err := s.Open(t.Context(), streamMethod, nil, nil); status.Code(err) != codes.Unavailable {
			t.Errorf("one more than %d: %v", c.want, err)
		}
		for _, st := range all {
			st.Close()
		}
	}
}
