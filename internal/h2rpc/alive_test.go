package h2rpc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/internal/h2rpc"
)

// These tests have a clock of their own: they say how long things take, and take no
// time.

// alive begins a connection in a bubble of synctest's.
func alive(t *testing.T, test func(t *testing.T, s *script), changes ...func(*h2rpc.Options)) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, changes...)
		synctest.Wait()
		test(t, s)
	})
}

// after lets time pass, and then all that is due happen.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// hasPings checks how often the client has asked for a sign of life.
func (s *script) hasPings(n int) {
	s.t.Helper()
	s.look(func() {
		if s.pings != n {
			s.t.Errorf("%d pings, not %d", s.pings, n)
		}
	})
}

// untilPinged lets time pass until the client asks for a sign of life, within limits.
func (s *script) untilPinged(least, most time.Duration) time.Time {
	s.t.Helper()
	after(least)
	s.hasPings(0)
	for n := 0; n == 0 && least < most; least += 100 * time.Millisecond {
		after(100 * time.Millisecond)
		s.look(func() { n = s.pings })
	}
	s.hasPings(1)
	return time.Now()
}

// silent has the server answer no pings any more.
func (s *script) silent() { s.look(func() { s.mute = true }) }

func TestConn_ASilentServerIsAskedForASignOfLife(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		st, _ := s.open("?")
		got := s.receive(st)
		begun := time.Now()
		after(2*time.Minute - time.Millisecond)
		s.hasPings(0)
		after(10 * time.Second)
		s.hasPings(1)
		for time.Since(begun) < 20*time.Minute {
			after(time.Minute)
		}
		// It answered each time, and was silent for two minutes then.
		s.look(func() {
			if s.pings < 20/3 || s.pings > 20/2 {
				t.Errorf("%d pings within 20 minutes", s.pings)
			}
		})
		if s.Limit() == 0 {
			t.Error("a connection that lives is left")
		}
		select {
		case r := <-got:
			t.Error(r.err)
		default:
		}
	})
}

func TestConn_WithoutASignOfLifeBreaks(t *testing.T) {
	for name, receiving := range map[string]bool{"somebody receives": true, "nobody receives": false} {
		t.Run(name, func(t *testing.T) {
			alive(t, func(t *testing.T, s *script) {
				st, _ := s.open("?")
				var got <-chan result
				if receiving {
					got = s.receive(st)
				} else {
					after(7 * time.Second) // until what was said is read
				}
				s.silent()
				asked := s.untilPinged(2*time.Minute, 2*time.Minute+10*time.Second)
				after(15*time.Second - time.Since(asked))
				if s.Limit() == 0 {
					t.Error("too early")
				}
				after(5*time.Second + time.Millisecond)
				if got == nil {
					got = s.receive(st)
				}
				s.unavailable(got, "no sign of life for 2m")
				s.left("no sign of life")
				s.await("the connection is closed", func() bool { return s.gone != nil })
			})
		})
	}
}

// Any frame is one.
func TestConn_MessagesAreSignsOfLife(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		st, id := s.open("?")
		got := s.receive(st)
		s.silent()
		s.say(func(w *words) { w.begin(id) })
		for range 30 {
			after(time.Minute)
			s.say(func(w *words) { w.messages(id, "beat") })
		}
		s.hasPings(0)
		after(2*time.Minute + 5*time.Second)
		s.hasPings(1)
		s.say(func(w *words) { w.messages(id, "late") })
		after(time.Minute)
		s.finish(id)
		if r := s.result(got); len(r.messages) != 31 {
			t.Errorf("%d messages, %v", len(r.messages), r.err)
		}
	})
}

func TestConn_WithoutStreamsIsNotAskedForASignOfLife(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		st, id := s.open("?")
		s.say(func(w *words) { w.begin(id) })
		s.finish(id)
		s.result(s.receive(st))
		s.silent()
		after(5 * time.Hour)
		s.hasPings(0)
		if s.Limit() == 0 {
			t.Error("an idle connection is left")
		}
	})
}

func TestDoubt_AsksAtOnce(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		s.open("?")
		after(7 * time.Second) // all is read that was said
		s.silent()
		s.Doubt()
		s.Doubt()
		synctest.Wait()
		s.hasPings(1)
		after(15 * time.Second)
		if s.Limit() == 0 {
			t.Error("too early")
		}
		after(5 * time.Second)
		s.left("no sign of life")
	})
}

// Who has given a sign of life can be doubted again, at once.
func TestDoubt_IsOverWithASignOfLife(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		s.waiting()
		for n := range 3 {
			after(time.Second)
			s.Doubt()
			synctest.Wait()
			s.hasPings(n + 1)
		}
		after(time.Minute)
		if s.Limit() == 0 {
			t.Error("a connection that lives is left")
		}
		s.Doubt()
		synctest.Wait()
		s.silent()
		after(time.Second)
		s.Doubt()
		after(20 * time.Second)
		s.hasPings(5)
		s.left("no sign of life")
	})
}

// Whoever does not receive leaves it to tend to answer, and to see the end.
func TestConn_IsReadThoughNobodyReceives(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		_, id := s.open("?")
		s.say(func(w *words) { w.begin(id); w.messages(id, "unread"); w.WritePing(false, [8]byte([]byte("hello???"))) })
		after(10 * time.Second)
		s.look(func() {
			if len(s.pongs) != 1 {
				t.Errorf("a ping was answered %d times within 10 s", len(s.pongs))
			}
		})
		s.hangUp()
		after(10 * time.Second)
		s.left("connection to script")
	})
}

func TestConn_WithoutStreamsIsLeftWhenTheServerAsksTo(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		s.say(func(w *words) { w.WriteGoAway(0, http2.ErrCodeNo, nil) })
		after(10 * time.Second)
		s.left("to be left")
		s.await("the connection is closed", func() bool { return s.gone != nil })
	})
}

// Nor does it matter how much nobody receives.
func TestConn_IsReadBehindFullWindows(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		for range 8 {
			_, id := s.open("?")
			s.pour(id, rowOf(1000), endless, nothing)
		}
		synctest.Wait()
		s.say(func(w *words) { w.WritePing(false, [8]byte([]byte("hello???"))) })
		after(10 * time.Second)
		s.look(func() {
			if len(s.pongs) != 1 {
				t.Errorf("a ping was answered %d times within 10 s", len(s.pongs))
			}
		})
	}, wide)
}

// While tend reads, those who begin to receive get what it has read.
func TestConn_WhoeverReceivesMeanwhileGetsHisMessages(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		st, id := s.open("?")
		s.pour(id, rowOf(1000), 1000*1005, inOrder(id))
		var m h2rpc.Message
		for n := range 1000 {
			if err := st.Recv(&m); err != nil {
				t.Fatal(err)
			}
			if n%10 == 0 {
				after(time.Duration(n) * 7 * time.Millisecond)
			}
		}
		m.Release()
	})
}

// A server that takes nothing is given up after 20 s.
func TestOpen_ToAServerThatTakesNothing(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		after(7 * time.Second) // all is read that was said
		s.look(func() { s.deaf = true })
		begun := time.Now()
		st, err := s.Open(context.Background(), streamMethod, nil, []byte("?"))
		if err == nil {
			err = receive(st).err
		}
		if status.Code(err) != codes.Unavailable || time.Since(begun) > 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		s.left("timeout")
	})
}

func TestStream_EndsWithItsDeadlineThoughNothingComes(t *testing.T) {
	alive(t, func(t *testing.T, s *script) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		begun := time.Now()
		st, id := s.openWith(ctx, "?")
		if timeout := s.calls[id].headers["grpc-timeout"]; timeout != "60001m" {
			t.Errorf("the server was told %q", timeout)
		}
		if err := receive(st).err; status.Code(err) != codes.DeadlineExceeded || time.Since(begun) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		s.await("RST_STREAM", func() bool { return len(s.calls[id].reset) == 1 })
	})
}
