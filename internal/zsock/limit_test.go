package zsock_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// TestLimit_IsInForce as libzmq says it.
func TestLimit_IsInForce(t *testing.T) {
	router, xpub := open(t, zmq.ROUTER), open(t, zmq.XPUB)
	check(t, zsock.Limit(router, []string{"tcp://127.0.0.1:5556", "tcp://*:5557"}, 16<<10, 5*time.Second))
	check(t, zsock.LimitSubscribers(xpub, []string{"tcp://127.0.0.1:5556"}))
	for z, want := range map[*zmq.Socket]struct {
		frame     int64
		handshake time.Duration
		ipv6      bool
	}{router: {16 << 10, 5 * time.Second, true}, xpub: {512, 3 * time.Second, false}} {
		frame, bad1 := z.GetMaxmsgsize()
		handshake, bad2 := z.GetHandshakeIvl()
		ipv6, bad3 := z.GetIpv6()
		backlog, bad4 := z.GetBacklog()
		check(t, errors.Join(bad1, bad2, bad3, bad4))
		if frame != want.frame || handshake != want.handshake || ipv6 != want.ipv6 || backlog != 1024 {
			t.Errorf("frames of %d bytes, handshakes of %s, IPv6 %t, a backlog of %d", frame, handshake, ipv6, backlog)
		}
		alive(t, z)
	}
	if n, err := xpub.GetRcvhwm(); n != 50 || err != nil {
		t.Errorf("%d subscriptions unread, %v", n, err)
	}
}

// TestLimit_EndsAConnectionWithoutHandshake.
func TestLimit_EndsAConnectionWithoutHandshake(t *testing.T) {
	z := open(t, zmq.ROUTER)
	check(t, zsock.Limit(z, nil, 1000, 50*time.Millisecond))
	if _, err := io.Copy(io.Discard, raw(t, bind(t, z))); err != nil {
		t.Error(err)
	}
}

// TestLimit_CutsOffAFrameThatIsTooLong, not one of just that length.
func TestLimit_CutsOffAFrameThatIsTooLong(t *testing.T) {
	z := open(t, zmq.ROUTER)
	check(t, zsock.Limit(z, nil, 200, testPatience))
	endpoint := bind(t, z)
	for size, fits := range map[int]bool{200: true, 201: false} {
		c := raw(t, endpoint)
		greet(t, c)
		_, err := c.Write(append([]byte{0, byte(size)}, strings.Repeat("x", size)...))
		check(t, err)
		if !fits {
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes: the connection is not ended", size)
			}
			continue
		}
		if m, err := z.RecvMessageBytes(0); err != nil || len(m[1]) != size {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
