package h2rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/internal/h2rpc"
)

// A violation is something that no server may say, and what the errors say of it.
type violation struct {
	name string
	say  func(w *words)
	text string
}

// rawly is a violation of one frame.
func rawly(kind http2.FrameType, flags http2.Flags, id uint32, content string) func(w *words) {
	return func(w *words) { w.raw(kind, flags, id, content) }
}

// badFrame is a violation of one frame that is too short or too long, or of a stream
// that it cannot be of.
func badFrame(name string, kind http2.FrameType, flags http2.Flags, id uint32, content string) violation {
	return violation{name, rawly(kind, flags, id, content), fmt.Sprintf("a %v frame of %d bytes of stream %d", kind, len(content), id)}
}

var four, eight = "\x00\x00\x00\x01", "\x00\x00\x00\x01\x00\x00\x00\x01"

// Streams 1 and 3 are there. What RFC 9113 says of each: 4.2 and 6.x.
var violations = []violation{
	{"a frame too large", rawly(http2.FrameData, 0, 1, strings.Repeat("x", 16385)), "a frame of 16385 bytes"},
	{"a frame of no kind too large", rawly(0x77, 0, 1, strings.Repeat("x", 16385)), "a frame of 16385 bytes"},
	{"another protocol", func(w *words) { w.WriteString("HTTP/1.1 400 Bad Request\r\n\r\n") }, "a frame of 4740180 bytes"},

	badFrame("DATA of no stream", http2.FrameData, 0, 0, "x"),
	badFrame("DATA of a stream to come", http2.FrameData, 0, 5, "x"),
	badFrame("DATA of a stream of the server's", http2.FrameData, 0, 2, "x"),
	badFrame("DATA with more padding than there is", http2.FrameData, http2.FlagDataPadded, 1, "\x02x"),
	badFrame("DATA without its padding", http2.FrameData, http2.FlagDataPadded, 1, ""),

	badFrame("HEADERS of no stream", http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, "\x88"),
	badFrame("HEADERS of a stream to come", http2.FrameHeaders, http2.FlagHeadersEndHeaders, 5, "\x88"),
	badFrame("HEADERS of a stream of the server's", http2.FrameHeaders, http2.FlagHeadersEndHeaders, 2, "\x88"),
	badFrame("HEADERS with more padding than there is", http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, "\x02\x88"),
	badFrame("HEADERS without their padding", http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, ""),
	badFrame("HEADERS without their priority", http2.FrameHeaders, http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders, 1, "\x88\x88"),
	badFrame("CONTINUATION of nothing", http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "\x88"),
	{"CONTINUATION of another stream", func(w *words) {
		w.raw(http2.FrameHeaders, 0, 1, "\x88")
		w.raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 3, "\x88")
	}, "headers that do not go on"},
	{"CONTINUATION behind the end", func(w *words) {
		w.begin(1)
		w.raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "\x88")
	}, "a CONTINUATION frame of 1 bytes of stream 1"},
	{"DATA within headers", func(w *words) { w.raw(http2.FrameHeaders, 0, 1, "\x88"); w.messages(1, "x") }, "headers that do not go on"},
	{"PING within headers", func(w *words) { w.raw(http2.FrameHeaders, 0, 1, ""); w.raw(http2.FramePing, 0, 0, eight) }, "headers that do not go on"},
	{"an unknown frame within headers", func(w *words) { w.raw(http2.FrameHeaders, 0, 1, "\x88"); w.raw(0x77, 0, 1, "") }, "headers that do not go on"},
	{"HEADERS within headers", func(w *words) { w.raw(http2.FrameHeaders, 0, 1, "\x88"); w.begin(1) }, "headers that do not go on"},
	{"headers without end", func(w *words) {
		w.raw(http2.FrameHeaders, 0, 1, "")
		for range 5 {
			w.raw(http2.FrameContinuation, 0, 1, strings.Repeat("\x88", 16000))
		}
	}, "headers of more than 65536 bytes"},
	{"a header that is not in the table", rawly(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\x00"), "headers: "},
	{"a header that is cut off", rawly(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x88\x40\x7f"), "headers: "},
	{"a table larger than was allowed", rawly(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x3f\xff\xff\x7f"), "headers: "},
	{"bad headers of a stream that has ended", func(w *words) {
		w.WriteRSTStream(1, http2.ErrCodeInternal)
		w.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\x00")
	}, "headers: "},

	badFrame("RST_STREAM of no stream", http2.FrameRSTStream, 0, 0, four),
	badFrame("RST_STREAM of a stream to come", http2.FrameRSTStream, 0, 5, four),
	badFrame("RST_STREAM of a stream of the server's", http2.FrameRSTStream, 0, 2, four),
	badFrame("RST_STREAM too short", http2.FrameRSTStream, 0, 1, four[1:]),
	badFrame("RST_STREAM too long", http2.FrameRSTStream, 0, 1, four+"x"),

	badFrame("SETTINGS of a stream", http2.FrameSettings, 0, 1, ""),
	badFrame("SETTINGS too short", http2.FrameSettings, 0, 0, "12345"),
	badFrame("SETTINGS that agree to something", http2.FrameSettings, http2.FlagSettingsAck, 0, "\x00\x00\x00\x00\x00\x00"),
	{"a window too large", rawly(http2.FrameSettings, 0, 0, "\x00\x04\x80\x00\x00\x00"), "an initial window of 2147483648 bytes"},
	{"frames too small", rawly(http2.FrameSettings, 0, 0, "\x00\x05\x00\x00\x3f\xff"), "frames of at most 16383 bytes"},
	{"frames too large", rawly(http2.FrameSettings, 0, 0, "\x00\x05\x01\x00\x00\x00"), "frames of at most 16777216 bytes"},

	{"PUSH_PROMISE", rawly(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, "\x00\x00\x00\x02\x88"), "PUSH_PROMISE"},

	badFrame("PING of a stream", http2.FramePing, 0, 1, eight),
	badFrame("PING too short", http2.FramePing, 0, 0, eight[1:]),
	badFrame("PING too long", http2.FramePing, http2.FlagPingAck, 0, eight+"x"),

	badFrame("GOAWAY of a stream", http2.FrameGoAway, 0, 1, eight),
	badFrame("GOAWAY too short", http2.FrameGoAway, 0, 0, eight[1:]),

	{"WINDOW_UPDATE by nothing", rawly(http2.FrameWindowUpdate, 0, 0, "\x80\x00\x00\x00"), "WINDOW_UPDATE by 0"},
	{"WINDOW_UPDATE by too much", rawly(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\x00\x0f"), "WINDOW_UPDATE by 2147418127"},
	badFrame("WINDOW_UPDATE too short", http2.FrameWindowUpdate, 0, 1, four[1:]),
	badFrame("WINDOW_UPDATE too long", http2.FrameWindowUpdate, 0, 0, four+"x"),
	badFrame("WINDOW_UPDATE of a stream to come", http2.FrameWindowUpdate, 0, 5, four),
}

func TestConn_BreaksWhenTheServerBreaksTheRules(t *testing.T) {
	for _, v := range violations {
		t.Run(v.name, func(t *testing.T) {
			s := play(t)
			first, _ := s.open("")
			second, _ := s.open("")
			gotFirst, gotSecond := s.receive(first), s.receive(second)
			s.say(v.say)
			const rules = "connection to script: the server breaks the rules of HTTP/2: "
			if v.name != "bad headers of a stream that has ended" {
				s.unavailable(gotFirst, rules+v.text)
			}
			s.unavailable(gotSecond, rules+v.text)
			s.left(rules + v.text)
			s.await("the connection is closed", func() bool { return s.gone != nil })
		})
	}
}

// What the server may not say of a stream ends that alone.
func TestStream_EndsWhenTheServerBreaksTheRulesForIt(t *testing.T) {
	for _, v := range []violation{
		{"more DATA than its window has room for", func(w *words) {
			w.begin(1)
			for range testWindow / 8192 {
				w.data(1, false, make([]byte, 8192)) // messages of no bytes, but for the last
			}
			w.data(1, false, []byte{0})
		}, "more than there was room for"},
		{"WINDOW_UPDATE by nothing", rawly(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00"), "impossible about its window"},
		{"WINDOW_UPDATE by too much", rawly(http2.FrameWindowUpdate, 0, 1, "\x7f\xff\xff\xff"), "impossible about its window"},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := play(t)
			st, id := s.open("?")
			other, next := s.open("?")
			got := s.receive(other)
			s.say(v.say)
			s.settled()
			if err := s.result(s.receive(st)).err; status.Code(err) != codes.Internal || !strings.Contains(err.Error(), v.text) {
				t.Errorf("ended with %v", err)
			}
			s.await("RST_STREAM", func() bool { return slices.Equal(s.calls[id].reset, []http2.ErrCode{http2.ErrCodeFlowControl}) })
			s.say(func(w *words) { w.begin(next); w.messages(next, "a") })
			s.finish(next)
			if r := s.result(got); len(r.messages) != 1 {
				t.Errorf("the other: %v, %v", r.messages, r.err)
			}
		})
	}
}

// Streams that keep to their windows cannot do that, if Options are as they should be.
func TestConn_BreaksWhenMoreComesThanItHasRoomFor(t *testing.T) {
	s := play(t, func(o *h2rpc.Options) { o.Streams, o.Window, o.ConnWindow = 3, 65536, 100_000 })
	s.open("")
	s.open("")
	st, _ := s.open("")
	got := s.receive(st)
	s.say(func(w *words) {
		for id := uint32(1); id < 4; id += 2 {
			w.begin(id)
			for range 5 {
				w.data(id, false, make([]byte, 10_000))
			}
		}
	})
	s.settled()
	s.say(func(w *words) { w.data(1, false, []byte{0}) })
	s.unavailable(got, "more DATA than there is room for")
	s.left("more DATA")
}
