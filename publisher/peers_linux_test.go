package publisher

import (
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// stalled opens connections to which something is sent that nobody reads, and
// returns what is known of them.
func stalled(t *testing.T, many int) *peers {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	p := newPeers(discard)
	for range many {
		client, err := net.Dial("tcp", l.Addr().String())
		check(t, err)
		server, err := l.Accept()
		check(t, err)
		t.Cleanup(func() { client.Close(); server.Close() })
		check(t, errors.Join(client.(*net.TCPConn).SetReadBuffer(4096), server.(*net.TCPConn).SetWriteBuffer(4096), server.SetDeadline(time.Now().Add(10*time.Millisecond))))
		for err == nil {
			_, err = server.Write(make([]byte, 1<<16))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		raw, err := server.(*net.TCPConn).SyscallConn()
		check(t, err)
		check(t, raw.Control(func(fd uintptr) { p.note(strconv.Itoa(int(fd)), "127.0.0.1") }))
	}
	return p
}

// TestCut_EndsMoreAtATime: a zone that is cut off may have hundreds of subscribers,
// and all others wait while connections are ended.
func TestCut_EndsMoreAtATime(t *testing.T) {
	p := stalled(t, 8)
	still := func(a, b sample) bool {
		return len(a.traffic) == 8 && maps.EqualFunc(a.traffic, b.traffic, func(x, y traffic) bool { return x.Taken == y.Taken && x.Waiting > 0 })
	}
	waitFor(t, "all to take nothing any more", func() bool {
		unripe := p.unripe(time.Now())
		return unripe <= 0 && still(p.latest[0], p.latest[len(p.latest)-1])
	})
	var ended []uint64
	for most := 1; p.cut(most); most *= 2 {
		ended = append(ended, p.ended)
	}
	if want := []uint64{1, 3, 7, 8}; !slices.Equal(ended, want) || len(p.known) != 0 {
		t.Errorf("connections were ended %v, want %v; %d are left", ended, want, len(p.known))
	}
}
