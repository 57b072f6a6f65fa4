package h2rpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// left checks that nothing begins any more, for a reason that has a text.
func (s *script) left(text string) {
	s.t.Helper()
	if _, err := s.Open(s.t.Context(), streamMethod, nil, nil); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), text) || s.Limit() != 0 {
		s.t.Errorf("a new call: %v, limit %d", err, s.Limit())
	}
}

// unavailable waits for the end of a call that has such an error.
func (s *script) unavailable(got <-chan result, texts ...string) {
	s.t.Helper()
	err := s.result(got).err
	for _, text := range texts {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), text) {
			s.t.Errorf("ended with %v, not with %q", err, text)
		}
	}
}

func TestConn_StreamsTheServerHasTakenEndBeforeItIsLeft(t *testing.T) {
	s := play(t)
	var got []<-chan result
	for range 4 {
		st, _ := s.open("?")
		got = append(got, s.receive(st))
	}
	s.say(func(w *words) {
		for id := uint32(1); id < 8; id += 2 {
			w.begin(id)
			w.messages(id, "first")
		}
		w.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil) // as servers say that they will say more
	})
	s.settled()
	s.left("no room")
	s.say(func(w *words) { w.WriteGoAway(3, http2.ErrCodeNo, nil) })
	for _, above := range got[2:] {
		s.unavailable(above, "to be left")
	}
	s.settled()
	s.left("no room")
	s.say(func(w *words) { w.messages(3, "second") })
	s.finish(1)
	s.say(func(w *words) { w.headers(3, true, "grpc-status", "5") })
	if r := s.result(got[0]); !errors.Is(r.err, io.EOF) || !slices.Equal(r.messages, []string{"first"}) {
		t.Errorf("stream 1: %q, %v", r.messages, r.err)
	}
	if r := s.result(got[1]); status.Code(r.err) != codes.NotFound || !slices.Equal(r.messages, []string{"first", "second"}) {
		t.Errorf("stream 3: %q, %v", r.messages, r.err)
	}
	s.await("the connection is closed", func() bool { return s.gone != nil })
	s.left("to be left")
}

func TestConn_IsLeftWithItsLastStream(t *testing.T) {
	s := play(t)
	st, id := s.open("?")
	got := s.receive(st)
	s.say(func(w *words) { w.begin(id); w.WriteGoAway(id, http2.ErrCodeNo, nil); w.end(id) })
	s.result(got)
	s.await("the connection is closed", func() bool { return s.gone != nil })
	s.left("to be left")
}

// A call that is given up is an end, too.
func TestConn_IsLeftWhenTheLastStreamIsGivenUp(t *testing.T) {
	s := play(t)
	st, id := s.open("?")
	s.say(func(w *words) { w.WriteGoAway(id, http2.ErrCodeNo, nil) })
	got := s.receive(st)
	s.settled()
	st.Close()
	if err := s.result(got).err; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	s.await("the connection is closed", func() bool { return s.gone != nil })
	s.left("to be left")
}

// What the server objects to is in the errors of the streams, those that it had taken
// and then cut off as well.
func TestConn_SaysWhyTheServerWantsItToBeLeft(t *testing.T) {
	s := play(t)
	taken, id := s.open("?")
	refused, _ := s.open("?")
	gotTaken, gotRefused := s.receive(taken), s.receive(refused)
	s.say(func(w *words) {
		w.WriteGoAway(id, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
	})
	s.unavailable(gotRefused, "ENHANCE_YOUR_CALM", `"too_many_pings"`)
	s.settled()
	s.hangUp()
	s.unavailable(gotTaken, "closed", "ENHANCE_YOUR_CALM", `"too_many_pings"`)
	s.left("too_many_pings")
}

func TestConn_EndsWithTheServer(t *testing.T) {
	s := play(t)
	var got []<-chan result
	for range 3 {
		st, _ := s.open("?")
		got = append(got, s.receive(st))
	}
	s.say(func(w *words) { w.begin(1); w.messages(1, "whole"); w.data(1, false, framed("half")[:7]) })
	s.settled()
	s.hangUp()
	for n, one := range got {
		r := s.result(one)
		if status.Code(r.err) != codes.Unavailable || !strings.Contains(r.err.Error(), "connection to script: the server closed") || len(r.messages) != 1-min(n, 1) {
			t.Errorf("%q, %v", r.messages, r.err)
		}
	}
	s.left("closed")
}

func TestConn_AnswersPingsWithWhatIsInThem(t *testing.T) {
	s := play(t)
	s.waiting()
	s.say(func(w *words) {
		w.WritePing(false, [8]byte{0, 1, 2, 3, 0xff, 0xfe, 0xfd, 0xfc})
		w.WritePing(true, [8]byte{1}) // which nobody has asked for
		w.WritePing(false, [8]byte([]byte("__last__")))
	})
	s.await("answers", func() bool {
		return slices.Equal(s.pongs, []string{"\x00\x01\x02\x03\xff\xfe\xfd\xfc", "__last__"})
	})
	s.settled()
}

// Who gives a call up gets nothing more of it, not even what has come.
func TestStream_GivenUpBringsNothingMore(t *testing.T) {
	for name, code := range map[string]codes.Code{"closed": codes.Canceled, "its context has ended": codes.Canceled, "its time is over": codes.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			s := play(t)
			s.waiting()
			ctx, cancel := context.WithCancel(t.Context())
			if code == codes.DeadlineExceeded {
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
			}
			defer cancel()
			st, id := s.openWith(ctx, "?")
			s.say(func(w *words) { w.begin(id); w.messages(id, "a", "b") })
			s.settled()
			if name == "closed" {
				st.Close()
			} else if code == codes.Canceled {
				cancel()
			}
			s.await("RST_STREAM", func() bool { return slices.Equal(s.calls[id].reset, []http2.ErrCode{http2.ErrCodeCancel}) })
			if r := s.result(s.receive(st)); status.Code(r.err) != code || len(r.messages) > 0 {
				t.Errorf("%q, %v", r.messages, r.err)
			}
		})
	}
}
