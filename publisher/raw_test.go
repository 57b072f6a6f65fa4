package publisher

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// raw connects without libzmq, and sends subscriptions as they are given.
func raw(t *testing.T, endpoint string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(testPatience)))
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
	_, err = conn.Write(append(append(greeting, 4, byte(len(ready))), ready...))
	check(t, err)
	_, err = io.ReadFull(conn, make([]byte, 64))
	check(t, err)
	return conn
}

// TestSubscriptions_AreCountedOnceForEachConnection: nobody who asks for something
// twice, or takes back what he has not asked for, changes what is counted for
// others, or after he has gone. REQUIRE_SUBSCRIBER goes by that.
func TestSubscriptions_AreCountedOnceForEachConnection(t *testing.T) {
	p := start(t, nil)
	other := p.subscribe(t, "")
	other.until("$resolved/")
	counts := func(n int64) func() bool { return func() bool { return p.Stats().Subscriptions.Load() == n } }
	c := raw(t, p.Endpoints()[0])
	_, err := c.Write([]byte("\x00\x01\x00" + "\x00\x01\x00" + "\x00\x03\x00a/" + "\x00\x03\x01b/" + "\x00\x03\x01b/" + "\x00\x03\x01b/" + "\x00\x03\x01c/"))
	check(t, err)
	var answers strings.Builder
	for !strings.Contains(answers.String(), "c/$resolved/") { // the last of it was read
		b := make([]byte, 4096)
		n, err := c.Read(b)
		check(t, err)
		answers.Write(b[:n])
	}
	if n := p.Stats().Subscriptions.Load(); n != 3 {
		t.Errorf("%d subscriptions, want those of the other, b/ and c/", n)
	}
	check(t, c.Close())
	waitFor(t, "it to have gone", counts(1))
	check(t, other.z.Close())
	waitFor(t, "nobody to be subscribed", counts(0))
}
