package h2rpc_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/spancast/spancast/internal/h2rpc"
)

// pour sends of a stream n bytes of messages that are each like row, when there is
// room for them, and then does what it is told.
func (s *script) pour(id uint32, row []byte, n int, then func(w *words, c *call)) {
	s.tasks.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.calls[id]
		s.words.begin(id)
		for sent := 0; sent < n; {
			for !s.closed && !c.over && min(s.credit, c.credit) <= 0 {
				s.changed.Wait()
			}
			if s.closed || c.over {
				return
			}
			at := sent % len(row)
			size := min(s.credit, c.credit, 16384, n-sent, len(row)-at)
			if padding := size % 256; size > 10_000 && at == 0 {
				size -= 1 + padding
				s.words.padded(id, row[at:at+size], padding)
			} else {
				s.words.data(id, false, row[at:at+size])
			}
			sent += size
			s.changed.Broadcast()
		}
		if !c.over {
			then(s.words, c)
			s.changed.Broadcast()
		}
	})
}

func inOrder(id uint32) func(w *words, c *call) {
	return func(w *words, c *call) { w.end(id); c.over = true }
}

func nothing(*words, *call) {}

const endless = 1 << 40

// rowOf is as many messages of a size as fill a frame, or one.
func rowOf(size int) []byte {
	one := framed(strings.Repeat("x", size))
	return slices.Repeat(one, max(1, 16384/len(one)))
}

// narrow leaves nothing beyond the streams' windows.
func narrow(o *h2rpc.Options) { o.ConnWindow = o.Streams * o.Window }

// wide leaves most of the connection's window to those who are fast.
func wide(o *h2rpc.Options) { o.ConnWindow = 4 << 20 }

// owe has streams that end leave what they have received to be given back together,
// up to a number of bytes of them.
func (s *script) owe(n int) {
	s.t.Helper()
	row := rowOf(1000)
	for owed := 0; owed < n; {
		st, id := s.open("short")
		size := min(n-owed, len(row))
		s.say(func(w *words) { w.begin(id); w.data(id, false, row[:size]) })
		s.say(func(w *words) { w.WriteRSTStream(id, http2.ErrCodeInternal); s.calls[id].over = true })
		s.result(s.receive(st))
		owed += size
	}
}

// A stream that is received from gets through when all others of its connection are
// not, whatever streams that have ended are owed.
func TestConn_StreamsThatStandStillDoNotStopTheLast(t *testing.T) {
	for name, c := range map[string]struct {
		option func(*h2rpc.Options)
		owed   int
	}{
		"narrow": {narrow, 0}, "narrow, much owed": {narrow, 8*testWindow/4 - 1}, "wide": {wide, 0}, "wide, much owed": {wide, 1<<20 - 1},
		"many, much owed": {func(o *h2rpc.Options) { o.Streams, o.ConnWindow = 50, 4<<20 }, 1<<20 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, c.option)
			s.owe(c.owed)
			var all []*h2rpc.Stream
			for range s.opt.Streams - 1 {
				st, id := s.open("still")
				s.pour(id, rowOf(1000), endless, nothing)
				all = append(all, st)
			}
			const n = 5_000
			last, id := s.open("last")
			s.pour(id, rowOf(1000), n*1005, inOrder(id))
			if r := s.result(s.receive(last)); !errors.Is(r.err, io.EOF) || len(r.messages) != n {
				t.Errorf("the last stream brought %d messages, %v", len(r.messages), r.err)
			}
			s.waiting()
			still := func(yield func(uint32, *call) bool) {
				for other := id - 2; s.calls[other] != nil && !s.calls[other].over && yield(other, s.calls[other]); other -= 2 {
				}
			}
			s.await("the server has sent what it may of the streams that nobody receives from", func() bool {
				for _, c := range still {
					if c.credit > 0 {
						return false
					}
				}
				return true
			})
			s.settled()
			s.look(func() {
				for other, c := range still {
					if c.granted != testWindow {
						t.Errorf("stream %d got %d bytes, though nobody receives from it", other, c.granted)
					}
				}
			})
			for _, st := range all {
				st.Close()
			}
			s.settled()
			s.noneIsLost()
		})
	}
}

// noneIsLost checks that the server gets all of the connection's window back, when
// all that it has sent is received or given up.
func (s *script) noneIsLost() {
	s.t.Helper()
	st, id := s.open("")
	defer st.Close()
	half := s.opt.Window / 2 // with which the client tells what it owes, and for all streams
	s.say(func(w *words) {
		w.begin(id)
		for b := framed(strings.Repeat("x", half-5)); len(b) > 0; b = b[min(16384, len(b)):] {
			w.data(id, false, b[:min(16384, len(b))])
		}
	})
	defer time.AfterFunc(10*time.Second, s.Conn.Close).Stop()
	var m h2rpc.Message
	defer m.Release()
	if err := st.Recv(&m); err != nil {
		s.t.Fatal(err)
	}
	s.waiting()
	s.settled()
	s.look(func() {
		if s.credit != s.opt.ConnWindow {
			s.t.Errorf("of %d bytes the server may send %d", s.opt.ConnWindow, s.credit)
		}
	})
}

// Who waited for one message and does not come back has not received those that came
// with it.
func TestStream_LeftAfterAMessageGetsNoMoreThanItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, narrow)
		s.waiting() // reads
		synctest.Wait()
		st, id := s.open("once")
		s.tasks.Go(func() {
			var m h2rpc.Message
			if err := st.Recv(&m); err != nil {
				t.Error(err)
			}
			m.Release()
		})
		synctest.Wait()
		row := rowOf(1000)
		s.say(func(w *words) {
			w.begin(id)
			for range 4 { // no more than is read at a time
				w.data(id, false, row[:15*1005])
			}
		})
		s.pour(id, row, 8*testWindow, nothing)
		synctest.Wait()
		s.look(func() {
			if c := s.calls[id]; c.credit != 0 || c.granted > testWindow+16384 {
				t.Errorf("the stream got %d bytes and has %d of them", c.granted, c.credit)
			}
		})
	})
}

// The sum of all windows is checked with every WINDOW_UPDATE.
func TestStream_FastOnesGetWiderWindowsInTurn(t *testing.T) {
	s := play(t, wide)
	for _, n := range []int{1, 4, 8, 1} {
		fair := min(1<<20, testWindow+(s.opt.ConnWindow-8*testWindow)/n)
		most := make([]int, n)
		var all []<-chan result
		for i := range n {
			st, id := s.open("fast")
			s.pour(id, rowOf(10_000), 400*10_005, inOrder(id))
			all = append(all, s.receive(st))
			s.watch(id, func(c *call) { most[i] = max(most[i], c.credit) })
		}
		for _, got := range all {
			if r := s.result(got); !errors.Is(r.err, io.EOF) {
				t.Fatal(r.err)
			}
		}
		for _, got := range most {
			// Those that began when there were fewer took more, and others have to do with less.
			if n == 1 && got < fair*3/4 || got > 1<<20 {
				t.Errorf("of %d streams one had at most %d bytes, its part is %d", n, got, fair)
			}
		}
	}
}

// Those that are wide leave room for the narrow ones.
func TestConn_WideStreamsThatStandStillDoNotStopTheLast(t *testing.T) {
	s := play(t, wide)
	var m h2rpc.Message
	for range 7 {
		st, id := s.open("wide")
		s.pour(id, rowOf(1000), endless, nothing)
		for range 4000 {
			if err := st.Recv(&m); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.Release()
	const n = 5_000
	last, id := s.open("last")
	s.pour(id, rowOf(1000), n*1005, inOrder(id))
	if r := s.result(s.receive(last)); !errors.Is(r.err, io.EOF) || len(r.messages) != n {
		t.Errorf("the last stream brought %d messages, %v", len(r.messages), r.err)
	}
}

// A message may be larger than any window, and who reads may wait for something else.
func TestStream_AMessageLargerThanItsWindowComesThoughAnotherReads(t *testing.T) {
	s := play(t, narrow)
	s.waiting()
	s.settled()
	st, id := s.open("large")
	s.pour(id, framed(strings.Repeat("x", 3*testWindow)), 5*(3*testWindow+5), inOrder(id))
	if r := s.result(s.receive(st)); !errors.Is(r.err, io.EOF) || len(r.messages) != 5 {
		t.Errorf("%d messages, %v", len(r.messages), r.err)
	}
}

func TestStream_MessagesLargerThanWindowsComeAllAtOnce(t *testing.T) {
	s := play(t, narrow)
	const n, size = 10, 3 * testWindow
	var all []<-chan result
	for range 8 {
		st, id := s.open("large")
		s.pour(id, framed(strings.Repeat("x", size)), n*(size+5), inOrder(id))
		all = append(all, s.receive(st))
	}
	for _, got := range all {
		if r := s.result(got); !errors.Is(r.err, io.EOF) || len(r.messages) != n || len(r.messages[n-1]) != size {
			t.Errorf("%d messages, %v", len(r.messages), r.err)
		}
	}
	s.noneIsLost()
}

// One goroutine receives from streams at random, and gives some up: each message
// comes, though nobody receives from the other streams meanwhile.
func TestConn_AnyStreamMovesWhileAllOthersStandStill(t *testing.T) {
	for name, option := range map[string]func(*h2rpc.Options){"narrow": narrow, "wide": wide} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 1))
			s := play(t, option)
			all := make([]*h2rpc.Stream, 8)
			var m h2rpc.Message
			for range 3000 {
				i := random.IntN(len(all))
				if all[i] == nil {
					st, id := s.open("?")
					all[i] = st
					s.pour(id, rowOf(random.IntN([]int{10, 1000, 100_000}[random.IntN(3)])), endless, nothing)
				}
				timer := time.AfterFunc(10*time.Second, s.Conn.Close)
				if err := all[i].Recv(&m); err != nil {
					t.Fatalf("nothing comes any more: %v", err)
				}
				timer.Stop()
				if random.IntN(30) == 0 {
					all[i].Close()
					all[i] = nil
				}
			}
			m.Release()
			for _, st := range all {
				if st != nil {
					st.Close()
				}
			}
			s.waiting()
			s.settled()
			s.noneIsLost()
		})
	}
}

// Streams that are given up at any time, or that the server ends in any way, leave
// the whole window to those that follow.
func TestConn_EndedStreamsLeaveTheWindowWhole(t *testing.T) {
	s := play(t, wide)
	react := func(id uint32, c *call) {
		n, _ := strconv.Atoi(string(c.request[5:]))
		s.pour(id, rowOf(n%3000), n, func(w *words, c *call) {
			c.over = true
			switch n % 4 {
			case 0:
				w.WriteRSTStream(id, http2.ErrCodeInternal)
			case 1:
				w.data(id, true, nil)
			default:
				w.end(id)
			}
		})
	}
	s.look(func() { s.react = react })
	const workers, each = 8, 400
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(n)))
			for range each {
				s.short(random)
			}
		})
	}
	wg.Wait()
	s.look(func() { s.react = nil })
	s.waiting()
	s.settled()
	s.noneIsLost()
	st, id := s.open("fast")
	most := 0
	s.watch(id, func(c *call) { most = max(most, c.credit) })
	s.pour(id, rowOf(10_000), 600*10_005, inOrder(id))
	if r := s.result(s.receive(st)); !errors.Is(r.err, io.EOF) || most < 1<<20*3/4 {
		t.Errorf("a fast stream had at most %d bytes, %v", most, r.err)
	}
}

// short receives some messages of a stream and gives it up, if it has not ended.
func (s *script) short(random *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(3) == 0 {
		defer time.AfterFunc(time.Duration(random.IntN(300))*time.Microsecond, cancel).Stop()
	}
	st, err := s.Open(ctx, streamMethod, nil, []byte(strconv.Itoa(random.IntN(200_000))))
	if err != nil {
		if ctx.Err() == nil {
			s.t.Error(err)
		}
		return
	}
	defer st.Close()
	var m h2rpc.Message
	defer m.Release()
	for range random.IntN(50) {
		if st.Recv(&m) != nil {
			return
		}
	}
}
