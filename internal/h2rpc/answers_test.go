package h2rpc_test

import (
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// An answer is what a server says of stream 1, and what is to come of it.
type answer struct {
	name     string
	say      func(w *words)
	messages []string
	code     codes.Code // OK: the end is in order
	text     string     // that the error has
	reset    []http2.ErrCode
}

// Whatever cuts or surrounds the frames, the messages and the end are the same.
var goodAnswers = []answer{
	{name: "plain", say: func(w *words) { w.begin(1); w.messages(1, "a"); w.messages(1, "bc"); w.end(1) }, messages: []string{"a", "bc"}},
	{name: "no message", say: func(w *words) { w.begin(1); w.end(1) }},
	{name: "empty messages", say: func(w *words) { w.begin(1); w.messages(1, "", "", "x", ""); w.end(1) }, messages: []string{"", "", "x", ""}},
	{name: "several in a frame, several frames of one", say: func(w *words) {
		w.begin(1)
		b := framed("first", "second", strings.Repeat("third", 10), "", "fifth")
		for _, cut := range []int{1, 4, 5, 11, 13, 13, 30, 60, len(b)} {
			w.data(1, false, b[:min(cut, len(b))])
			b = b[min(cut, len(b)):]
		}
		w.end(1)
	}, messages: []string{"first", "second", strings.Repeat("third", 10), "", "fifth"}},
	{name: "a large one", say: func(w *words) {
		w.begin(1)
		for b := framed(strings.Repeat("0123456789", 5000)); len(b) > 0; b = b[min(16384, len(b)):] {
			w.data(1, false, b[:min(16384, len(b))])
		}
		w.end(1)
	}, messages: []string{strings.Repeat("0123456789", 5000)}},
	{name: "an empty frame in front of the headers", say: func(w *words) {
		w.data(1, false, nil)
		w.end(1)
	}, code: codes.Internal, text: "before its headers", reset: []http2.ErrCode{http2.ErrCodeProtocol}},
	{name: "padding", say: func(w *words) {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.fields(":status", "200", "content-type", "application/grpc"), EndHeaders: true, PadLength: 200})
		b := framed("padded", "twice")
		w.padded(1, b[:3], 0)
		w.padded(1, nil, 255)
		w.padded(1, b[3:8], 1)
		w.padded(1, b[8:], 100)
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.fields("grpc-status", "0"), EndHeaders: true, EndStream: true, PadLength: 1})
	}, messages: []string{"padded", "twice"}},
	{name: "priorities", say: func(w *words) {
		some := http2.PriorityParam{StreamDep: 7, Weight: 3, Exclusive: true}
		w.WritePriority(1, some)
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.fields(":status", "200", "content-type", "application/grpc"), EndHeaders: true, Priority: some, PadLength: 9})
		w.WritePriority(1, some)
		w.messages(1, "a")
		w.WritePriority(99, some)
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.fields("grpc-status", "0"), EndHeaders: true, EndStream: true, Priority: some})
		w.WritePriority(1, some)
	}, messages: []string{"a"}},
	{name: "headers in pieces", say: func(w *words) {
		w.split(1, false, 1, ":status", "200", "content-type", "application/grpc+proto", "x-any", "of that length")
		w.messages(1, "a")
		w.split(1, true, 2, "grpc-status", "0")
	}, messages: []string{"a"}},
	{name: "headers in empty pieces", say: func(w *words) {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
		w.WriteContinuation(1, false, nil)
		w.WriteContinuation(1, false, w.fields(":status", "200", "content-type", "application/grpc"))
		w.WriteContinuation(1, true, nil)
		w.end(1)
	}},
	{name: "long headers", say: func(w *words) {
		w.split(1, false, 16384, ":status", "200", "content-type", "application/grpc", "x-long", strings.Repeat("~", 40_000))
		w.split(1, true, 16384, "grpc-status", "0", "x-long", strings.Repeat("~", 40_000))
	}},
	{name: "unknown frames", say: func(w *words) {
		w.raw(0xfa, 0xff, 0, "of the connection")
		w.begin(1)
		b := framed("whole")
		w.data(1, false, b[:2])
		w.raw(0x10, 0xff, 1, strings.Repeat("x", 16384))
		w.data(1, false, b[2:7])
		w.raw(0xff, 0, 12345, "")
		w.raw(0x0a, 1, 3, "alt-svc")
		w.data(1, false, b[7:])
		w.end(1)
	}, messages: []string{"whole"}},
	{name: "settings, pings and windows in between", say: func(w *words) {
		w.settings(http2.Setting{ID: 0xfafa, Val: 1}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		w.begin(1)
		b := framed("whole")
		w.data(1, false, b[:6])
		w.WritePing(false, [8]byte{1, 2, 3})
		w.WriteWindowUpdate(0, 5)
		w.WriteWindowUpdate(1, 5)
		w.data(1, false, b[6:])
		w.end(1)
		w.WriteWindowUpdate(1, 5)
		w.WriteRSTStream(1, http2.ErrCodeNo)
	}, messages: []string{"whole"}},
	{name: "informational headers", say: func(w *words) {
		w.headers(1, false, ":status", "100")
		w.headers(1, false, ":status", "103", "link", "</x>; rel=preload")
		w.begin(1)
		w.messages(1, "a")
		w.end(1)
	}, messages: []string{"a"}},
	{name: "a table of headers that shrinks and grows", say: func(w *words) {
		w.begin(1)
		w.encoder.SetMaxDynamicTableSize(0)
		w.encoder.SetMaxDynamicTableSize(100)
		w.end(1)
		w.encoder.SetMaxDynamicTableSize(4096)
	}},
	{name: "trailers only", say: func(w *words) {
		w.headers(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
	}},
}

// details are those of an error, in base64, with a code and a text.
func details(code codes.Code, text string) string {
	s, err := status.New(code, text).WithDetails(&errdetails.ErrorInfo{Reason: "WHY"})
	if err != nil {
		panic(err)
	}
	b, err := proto.Marshal(s.Proto())
	if err != nil {
		panic(err)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// ended is an answer with a message, and with trailers behind it.
func ended(pairs ...string) func(w *words) {
	return func(w *words) { w.begin(1); w.messages(1, "a"); w.headers(1, true, pairs...) }
}

// only is an answer that is nothing but headers.
func only(pairs ...string) func(w *words) {
	return func(w *words) { w.headers(1, true, pairs...) }
}

var justA = []string{"a"}

// What a server says of the end of a call. That a status is missing, or is no
// number, is "Error parsing returned status" of gRPC's statuscodes.md.
var endings = []answer{
	{name: "an error", say: ended("grpc-status", "5", "grpc-message", "no such table"), messages: justA, code: codes.NotFound, text: "no such table"},
	{name: "an error at once", say: only(":status", "200", "content-type", "application/grpc", "grpc-status", "7", "grpc-message", "not yours"), code: codes.PermissionDenied, text: "not yours"},
	{name: "a status counts, whatever HTTP says", say: only(":status", "503", "content-type", "text/plain", "grpc-status", "9"), code: codes.FailedPrecondition},
	{name: "a code nobody knows", say: ended("grpc-status", "77", "grpc-message", "new"), messages: justA, code: 77, text: "new"},
	{name: "no status", say: ended("x-other", "1"), messages: justA, code: codes.Unknown, text: "without a status"},
	{name: "no status at once", say: only(":status", "200", "content-type", "application/grpc"), code: codes.Unknown, text: "without a status"},
	{name: "no trailers", say: func(w *words) { w.begin(1); w.data(1, true, framed("a")) }, messages: justA, code: codes.Internal, text: "without saying how"},
	{name: "no trailers, an empty frame", say: func(w *words) { w.begin(1); w.messages(1, "a"); w.data(1, true, nil) }, messages: justA, code: codes.Internal, text: "without saying how"},
	{name: "a status in words", say: ended("grpc-status", "NOT_FOUND"), messages: justA, code: codes.Unknown, text: `"NOT_FOUND"`},
	{name: "a status too large", say: ended("grpc-status", "99999999999"), messages: justA, code: codes.Unknown, text: "99999999999"},
	{name: "a text that is encoded", say: ended("grpc-status", "3", "grpc-message", "100%25 gr%C3%BC%c3%9fe%0A+"), messages: justA, code: codes.InvalidArgument, text: "100% grüße\n+"},
	{name: "a text that is encoded badly", say: ended("grpc-status", "3", "grpc-message", "100% of %zz"), messages: justA, code: codes.InvalidArgument, text: "100% of %zz"},
	{name: "details", say: ended("grpc-status", "8", "grpc-message", "short", "grpc-status-details-bin", details(codes.ResourceExhausted, "long")), messages: justA, code: codes.ResourceExhausted, text: "long"},
	{name: "details with padding", say: ended("grpc-status", "8", "grpc-status-details-bin", details(codes.ResourceExhausted, "longer")+"=="), messages: justA, code: codes.ResourceExhausted, text: "longer"},
	{name: "details of another code", say: ended("grpc-status", "8", "grpc-message", "short", "grpc-status-details-bin", details(codes.Aborted, "long")), messages: justA, code: codes.ResourceExhausted, text: "short"},
	{name: "details that are none", say: ended("grpc-status", "8", "grpc-message", "short", "grpc-status-details-bin", "!!!"), messages: justA, code: codes.ResourceExhausted, text: "short"},
	{name: "the end in a head", say: func(w *words) { w.begin(1); w.messages(1, "a"); w.data(1, false, []byte{0, 0, 0}); w.end(1) }, messages: justA, code: codes.Internal, text: "in the middle of a message"},
	{name: "the end in a message", say: func(w *words) {
		w.begin(1)
		w.messages(1, "a")
		w.data(1, false, framed("whole")[:8])
		w.end(1)
	}, messages: justA, code: codes.Internal, text: "in the middle of a message"},
	{name: "an error in a message", say: func(w *words) {
		w.begin(1)
		w.data(1, false, framed("a", "whole")[:12])
		w.headers(1, true, "grpc-status", "10", "grpc-message", "cut")
	}, messages: justA, code: codes.Aborted, text: "cut"},
	{name: "a compressed message", say: func(w *words) { w.begin(1); w.messages(1, "a"); w.data(1, false, []byte{1, 0, 0, 0, 1, 'x'}) }, messages: justA, code: codes.Internal, text: "compressed", reset: []http2.ErrCode{http2.ErrCodeCancel}},
	{name: "a message that is too large", say: func(w *words) { w.begin(1); w.messages(1, "a"); w.data(1, false, []byte{0, 0, 0x10, 0, 1}) }, messages: justA, code: codes.ResourceExhausted, text: "1048577 bytes; at most 1048576", reset: []http2.ErrCode{http2.ErrCodeCancel}},
	{name: "a bad message behind a good one, in one frame", say: func(w *words) { w.begin(1); w.data(1, false, append(framed("a"), 1, 0, 0, 0, 0)) }, messages: justA, code: codes.Internal, text: "compressed", reset: []http2.ErrCode{http2.ErrCodeCancel}},
	{name: "a message behind informational headers", say: func(w *words) { w.headers(1, false, ":status", "102"); w.messages(1, "a") }, code: codes.Internal, text: "before its headers", reset: []http2.ErrCode{http2.ErrCodeProtocol}},
	{name: "another content", say: func(w *words) {
		w.headers(1, false, ":status", "200", "content-type", "text/html")
		w.data(1, true, []byte("<html>"))
	}, code: codes.Unknown, text: `content type "text/html"`, reset: []http2.ErrCode{http2.ErrCodeCancel}},
	{name: "another content at once", say: only(":status", "200", "content-type", "text/html"), code: codes.Unknown, text: `content type "text/html"`},
	{name: "an error of HTTP with gRPC's content", say: func(w *words) {
		w.headers(1, false, ":status", "503", "content-type", "application/grpc")
		w.messages(1, "a")
	}, code: codes.Unavailable, text: `HTTP status "503"`, reset: []http2.ErrCode{http2.ErrCodeCancel}},
	{name: "no HTTP status", say: only("content-type", "application/grpc"), code: codes.Unknown, text: `HTTP status ""`},
}

// HTTP errors are those of a proxy: http-grpc-status-mapping.md.
func proxyAnswers() []answer {
	var all []answer
	for http, code := range map[string]codes.Code{"400": codes.Internal, "401": codes.Unauthenticated, "403": codes.PermissionDenied, "404": codes.Unimplemented, "429": codes.Unavailable, "431": codes.Internal,
		"502": codes.Unavailable, "503": codes.Unavailable, "504": codes.Unavailable, "302": codes.Unknown, "500": codes.Unknown, "418": codes.Unknown} {
		text := `HTTP status "` + http + `"`
		all = append(all, answer{name: "HTTP " + http, say: only(":status", http, "content-type", "text/html"), code: code, text: text},
			answer{name: "HTTP " + http + " with a text", say: func(w *words) {
				w.headers(1, false, ":status", http, "content-type", "text/html")
				w.data(1, true, []byte("<html>"))
			}, code: code, text: text, reset: []http2.ErrCode{http2.ErrCodeCancel}})
	}
	return all
}

// What RST_STREAM means: PROTOCOL-HTTP2.md, "Errors". The messages in front of it
// have come.
func resetAnswers() []answer {
	var all []answer
	for reset, code := range map[http2.ErrCode]codes.Code{http2.ErrCodeNo: codes.Internal, http2.ErrCodeProtocol: codes.Internal, http2.ErrCodeInternal: codes.Internal, http2.ErrCodeFlowControl: codes.Internal,
		http2.ErrCodeSettingsTimeout: codes.Internal, http2.ErrCodeStreamClosed: codes.Internal, http2.ErrCodeFrameSize: codes.Internal, http2.ErrCodeRefusedStream: codes.Unavailable, http2.ErrCodeCancel: codes.Canceled,
		http2.ErrCodeCompression: codes.Internal, http2.ErrCodeConnect: codes.Internal, http2.ErrCodeEnhanceYourCalm: codes.ResourceExhausted, http2.ErrCodeInadequateSecurity: codes.PermissionDenied,
		http2.ErrCodeHTTP11Required: codes.Internal, 0x7777: codes.Internal} {
		all = append(all, answer{name: "RST_STREAM " + reset.String(), say: func(w *words) {
			w.begin(1)
			w.data(1, false, framed("a", "b", "cut off")[:15])
			w.WriteRSTStream(1, reset)
		}, messages: []string{"a", "b"}, code: code, text: reset.String()})
	}
	return all
}

func allAnswers() []answer {
	all := slices.Concat(goodAnswers, endings, proxyAnswers(), resetAnswers())
	slices.SortFunc(all, func(a, b answer) int { return strings.Compare(a.name, b.name) })
	return all
}

func TestStream_ComesToWhatTheServerSays(t *testing.T) {
	for _, a := range allAnswers() {
		t.Run(a.name, func(t *testing.T) {
			s := play(t)
			st, id := s.open("?")
			got := s.receive(st)
			s.say(a.say)
			r := s.result(got)
			if !slices.Equal(r.messages, a.messages) {
				t.Errorf("messages %.200q", r.messages)
			}
			if ok := errors.Is(r.err, io.EOF); ok != (a.code == codes.OK) || !ok && (status.Code(r.err) != a.code || !strings.Contains(r.err.Error(), a.text)) {
				t.Errorf("ended with %v", r.err)
			}
			// The connection goes on.
			st, next := s.open("?")
			got = s.receive(st)
			s.say(func(w *words) { w.begin(next); w.messages(next, "more"); w.end(next) })
			if r := s.result(got); !errors.Is(r.err, io.EOF) || !slices.Equal(r.messages, []string{"more"}) {
				t.Errorf("the next call: %q, %v", r.messages, r.err)
			}
			s.await("what was reset", func() bool { return slices.Equal(s.calls[id].reset, a.reset) })
		})
	}
}

func TestStream_HasTheDetailsOfAnError(t *testing.T) {
	s := play(t)
	st, _ := s.open("?")
	s.say(ended("grpc-status", "8", "grpc-status-details-bin", details(codes.ResourceExhausted, "long")))
	err := s.result(s.receive(st)).err
	if all := status.Convert(err).Details(); len(all) != 1 || all[0].(*errdetails.ErrorInfo).GetReason() != "WHY" {
		t.Errorf("%v with %v", err, all)
	}
}
