package publisher

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSocket_CutsOffASubscriptionThatIsTooLong, on a socket without CURVE too.
// One of 20 MB would take 2 GB in libzmq.
func TestSocket_CutsOffASubscriptionThatIsTooLong(t *testing.T) {
	p := start(t, nil)
	for size, want := range map[uint64]bool{255: true, 20 << 20: false} {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.Endpoints()[0], "tcp://"))
		check(t, err)
		defer c.Close()
		check(t, c.SetDeadline(time.Now().Add(testPatience)))
		greeting := make([]byte, 64)
		greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
		copy(greeting[12:], "NULL")
		_, err = c.Write(append(greeting, "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"...))
		check(t, err)
		_, err = io.ReadFull(c, make([]byte, 64+28)) // greeting and READY with XPUB
		check(t, err)
		subscription := binary.BigEndian.AppendUint64([]byte{2}, size+1)
		subscription = append(append(subscription, 1), strings.Repeat("x", int(size)-1)+"/"...)
		c.Write(subscription) // may fail half way
		n, err := c.Read(make([]byte, 1))
		if taken := n == 1 && err == nil; taken != want { // the answer is $resolved/
			t.Errorf("a subscription of %d bytes is taken: %t, %v", size, taken, err)
		}
	}
	if n := p.Stats().Subscriptions.Load(); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
}

// TestIOThreads_GrowWithProcessors: one is enough for two cores; what was asked
// for counts.
func TestIOThreads_GrowWithProcessors(t *testing.T) {
	for _, c := range []struct{ asked, processors, want int }{{0, 1, 1}, {0, 2, 1}, {0, 7, 1}, {0, 8, 2}, {0, 32, 8}, {3, 2, 3}} {
		if got := ioThreads(c.asked, c.processors); got != c.want {
			t.Errorf("%d asked for on %d processors: %d", c.asked, c.processors, got)
		}
	}
	p := start(t, func(o *Options) { o.IOThreads = 3 })
	if n, err := p.ctx.GetIoThreads(); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
