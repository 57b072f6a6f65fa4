package zsock

import (
	"errors"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// KeepAlive has the system notice connections whose other end is silent, within
// a minute and a half.
func KeepAlive(z *zmq.Socket) error {
	return errors.Join(z.SetTcpKeepalive(1), z.SetTcpKeepaliveIdle(60), z.SetTcpKeepaliveIntvl(10), z.SetTcpKeepaliveCnt(3))
}

// Heartbeat has ZMTP ask the other end for a sign of life: a connection that
// gives none for three times as long is ended.
func Heartbeat(z *zmq.Socket, every time.Duration) error {
	return errors.Join(z.SetHeartbeatIvl(every), z.SetHeartbeatTimeout(3*every))
}

// Trust makes what a socket connects to from now on be the CURVE server of a
// public key, and the socket known to it by a pair of keys, all in Z85.
func Trust(z *zmq.Socket, server, public, secret string) error {
	return errors.Join(z.SetCurveServerkey(server), z.SetCurvePublickey(public), z.SetCurveSecretkey(secret))
}
