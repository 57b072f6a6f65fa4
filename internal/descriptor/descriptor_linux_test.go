package descriptor_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/spancast/spancast/internal/descriptor"
	"github.com/spancast/spancast/test/wait"
)

// pair makes a connection, and returns the descriptor of its one end, which is
// another than the net package's.
func pair(t *testing.T) (fd int, end, other *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	check(t, err)
	o, err := l.Accept()
	check(t, err)
	check(t, o.SetDeadline(time.Now().Add(time.Minute)))
	f, err := c.(*net.TCPConn).File()
	check(t, err)
	t.Cleanup(func() { f.Close(); c.Close(); o.Close() })
	return int(f.Fd()), c.(*net.TCPConn), o.(*net.TCPConn)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEnds_AreThoseOfTheConnection(t *testing.T) {
	fd, end, other := pair(t)
	e, ok := descriptor.EndsOf(fd)
	if !ok || e.Local.String() != end.LocalAddr().String() || e.Remote.String() != other.LocalAddr().String() || descriptor.Peer(fd) != e.Remote.String() {
		t.Errorf("%v, %t, %s; it is from %s to %s", e, ok, descriptor.Peer(fd), end.LocalAddr(), other.LocalAddr())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	check(t, err)
	defer f.Close()
	for _, fd := range []int{int(f.Fd()), 1 << 20} {
		if e, ok := descriptor.EndsOf(fd); ok || descriptor.Peer(fd) != "" {
			t.Errorf("%v and %q are the ends of no connection", e, descriptor.Peer(fd))
		}
	}
}

// TestTraffic_IsWhatTheOtherEndTakes: it reads nothing, and then everything.
func TestTraffic_IsWhatTheOtherEndTakes(t *testing.T) {
	const size = 32 << 20
	fd, end, other := pair(t)
	e, _ := descriptor.EndsOf(fd)
	go func() {
		end.Write(make([]byte, size))
		end.CloseWrite()
	}()
	wait.Until(t, "much waits", func() bool {
		now, ok := descriptor.TrafficOf(fd, e)
		return ok && now.Waiting > 0 && descriptor.Unsent(fd) > 0
	})
	if n, err := io.Copy(io.Discard, other); n != size || err != nil {
		t.Fatal(n, err)
	}
	wait.Until(t, "all is taken", func() bool {
		now, ok := descriptor.TrafficOf(fd, e)
		return ok && now.Taken >= size && now.Waiting == 0 && now.Way > 0 && descriptor.Unsent(fd) == 0
	})
}

// TestShut_EndsThatConnectionAndNoOther.
func TestShut_EndsThatConnectionAndNoOther(t *testing.T) {
	fd, _, other := pair(t)
	another, _, _ := pair(t)
	e, _ := descriptor.EndsOf(fd)
	if _, ok := descriptor.TrafficOf(another, e); ok || descriptor.Shut(another, e) {
		t.Error("a descriptor of another connection is taken for this one")
	}
	if !descriptor.Shut(fd, e) {
		t.Error("it was not ended")
	}
	if n, err := other.Read(make([]byte, 1)); err != io.EOF {
		t.Error(n, err)
	}
}
