package h2rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/spancast/spancast/internal/h2rpc"
	"github.com/spancast/spancast/internal/mutants"
)

// A cut is how many of the bytes that are left come with a read; reads are counted.
type cut func(read, left int) int

// A tape is a connection on which the server has said all that it says: it is read in
// pieces, and then at its end.
type tape struct {
	net.Conn // of which there is nothing
	pieces   cut

	mu      sync.Mutex
	reads   int
	left    []byte
	written bytes.Buffer
	late    bool // the time for reading is over
	closed  bool
}

func (p *tape) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, net.ErrClosed
	case p.late:
		return 0, os.ErrDeadlineExceeded
	case len(p.left) == 0:
		return 0, io.EOF
	}
	n := copy(b, p.left[:p.pieces(p.reads, len(p.left))])
	p.reads, p.left = p.reads+1, p.left[n:]
	return n, nil
}

func (p *tape) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, net.ErrClosed
	}
	return p.written.Write(b)
}

func (p *tape) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *tape) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = !t.IsZero() && !time.Now().Before(t)
	return nil
}

func (p *tape) SetWriteDeadline(time.Time) error { return nil }

// http2 tells whether what the client has written is HTTP/2.
func (p *tape) http2() error {
	rest, ok := bytes.CutPrefix(p.written.Bytes(), []byte(http2.ClientPreface))
	if !ok {
		return errors.New("no preface")
	}
	fr := http2.NewFramer(io.Discard, bytes.NewReader(rest))
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.SetMaxReadFrameSize(1<<24 - 1) // the server may have asked for it
	for {
		if _, err := fr.ReadFrame(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Ways to deliver bytes and to receive what is in them. What comes is the same in
// all of them, as long as no window is full.
var ways = []struct {
	name   string
	pieces cut
	atOnce bool // all streams are received from at the same time, not in their order
}{
	{"in one piece", func(_, left int) int { return left }, false},
	{"byte by byte", func(_, _ int) int { return 1 }, false},
	{"in pieces", random(1), false},
	{"in other pieces, to all at once", random(2), true},
}

// random is a cut that is the same each time: most pieces are small.
func random(seed uint64) cut {
	return func(read, left int) int {
		r := rand.New(rand.NewPCG(seed, uint64(read)))
		return min(left, 1+r.IntN(1<<r.IntN(15)))
	}
}

// listen receives three streams of a server that says some bytes.
func listen(t *testing.T, said []byte, pieces cut, atOnce bool, o h2rpc.Options) []string {
	p := &tape{left: said, pieces: pieces}
	c, err := h2rpc.New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever is not told that it is over waits for an hour of the bubble's.
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	var all []*h2rpc.Stream
	for range 3 {
		st, err := c.Open(ctx, streamMethod, nil, []byte("a request"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, st)
	}
	came := make([]string, len(all))
	var wg sync.WaitGroup
	for n, st := range all {
		wg.Go(func() {
			r := receive(st)
			came[n] = fmt.Sprintf("%q, %v", r.messages, r.err)
		})
		if !atOnce {
			wg.Wait()
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Errorf("a stream hangs: %q", came)
	}
	c.Close()
	if err := p.http2(); err != nil {
		t.Errorf("the client answers what is no HTTP/2: %v", err)
	}
	return came
}

// conversations are what servers say of streams 1, 3 and 5.
func conversations() [][]byte {
	var all [][]byte
	add := func(say func(w *words)) {
		w := newWords()
		w.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		w.begin(3)
		w.messages(3, "in front")
		say(w)
		w.messages(3, "behind")
		w.end(3)
		all = append(all, w.Bytes())
	}
	for _, a := range allAnswers() {
		add(a.say)
	}
	for _, v := range violations {
		add(v.say)
	}
	add(func(w *words) {
		w.begin(1)
		w.begin(5)
		one, five := framed("to one", strings.Repeat("more", 50), ""), framed(strings.Repeat("to five", 30), "five", "fi")
		for len(one)+len(five) > 0 {
			w.data(1, false, one[:min(len(one), 13)])
			w.padded(5, five[:min(len(five), 17)], 3)
			one, five = one[min(len(one), 13):], five[min(len(five), 17):]
			w.WriteWindowUpdate(1, 3)
			w.WriteWindowUpdate(0, 3)
		}
		w.headers(5, true, "grpc-status", "5", "grpc-message", "none")
		w.end(1)
	})
	add(func(w *words) {
		w.begin(1)
		w.begin(5)
		w.messages(5, "not taken")
		w.WriteGoAway(3, http2.ErrCodeNo, []byte("going away"))
		w.messages(1, "taken")
		w.WriteGoAway(1, http2.ErrCodeInternal, []byte("at once"))
	})
	return all
}

// However the bytes of a server are cut, the same comes of them; whatever they are,
// the client neither panics nor hangs, and nothing of it is left.
func FuzzConn(f *testing.F) {
	for _, said := range conversations() {
		f.Add(said)
		mutated := 25
		if len(said) > 4<<10 {
			mutated = 3
		}
		for mutant := range mutants.Of(said, mutated) {
			f.Add(mutant)
		}
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 100<<10 {
			t.Skip("more than the windows have room for")
		}
		o := h2rpc.Options{Scheme: "http", Authority: "tape", UserAgent: "test", Streams: 3, Window: 128 << 10, ConnWindow: 1 << 20, MaxMessage: 1 << 20}
		synctest.Test(t, func(t *testing.T) {
			var first []string
			for _, w := range ways {
				came := listen(t, said, w.pieces, w.atOnce, o)
				if first == nil {
					first = came
				}
				if !slices.Equal(came, first) {
					t.Errorf("%s came\n%.2000q\n%s came\n%.2000q", ways[0].name, first, w.name, came)
				}
			}
			o.Window, o.ConnWindow = 10, 65536
			listen(t, said, random(3), true, o)
		})
	})
}
