package zsock_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// alive checks that the system looks after connections of a socket.
func alive(t *testing.T, z *zmq.Socket) {
	t.Helper()
	on, bad1 := z.GetTcpKeepalive()
	idle, bad2 := z.GetTcpKeepaliveIdle()
	every, bad3 := z.GetTcpKeepaliveIntvl()
	times, bad4 := z.GetTcpKeepaliveCnt()
	check(t, errors.Join(bad1, bad2, bad3, bad4))
	if got := [4]int{on, idle, every, times}; got != [4]int{1, 60, 10, 3} {
		t.Errorf("on, idle, every, times: %d", got)
	}
}

func TestKeepAlive_IsInForce(t *testing.T) {
	z := open(t, zmq.SUB)
	check(t, zsock.KeepAlive(z))
	alive(t, z)
}

// TestHeartbeat_EndsAConnectionThatGivesNoSignOfLife for three times as long.
func TestHeartbeat_EndsAConnectionThatGivesNoSignOfLife(t *testing.T) {
	const every = 50 * time.Millisecond
	z := open(t, zmq.ROUTER)
	check(t, zsock.Heartbeat(z, every))
	c := raw(t, bind(t, z))
	began := time.Now()
	greet(t, c)
	heard, err := io.ReadAll(c)
	if took := time.Since(began); err != nil || took < 3*every {
		t.Errorf("the connection ended after %s, %v", took, err)
	}
	if !strings.Contains(string(heard), "\x04PING") {
		t.Errorf("%q", heard)
	}
}

// TestTrust_IsWhatACurveServerAsksFor.
func TestTrust_IsWhatACurveServerAsksFor(t *testing.T) {
	serverPublic, serverSecret, err := zmq.NewCurveKeypair()
	check(t, err)
	public, secret, err := zmq.NewCurveKeypair()
	check(t, err)
	server, client := open(t, zmq.ROUTER), open(t, zmq.DEALER)
	check(t, errors.Join(server.SetCurveServer(1), server.SetCurveSecretkey(serverSecret)))
	check(t, zsock.Trust(client, serverPublic, public, secret))
	check(t, client.Connect(bind(t, server)))
	_, err = client.Send("hello", 0)
	check(t, err)
	if m, err := server.RecvMessage(0); err != nil || m[1] != "hello" {
		t.Errorf("%q, %v", m, err)
	}
}
