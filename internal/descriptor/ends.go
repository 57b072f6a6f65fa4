// Package descriptor asks the kernel about TCP connections of libzmq, which tells
// over which descriptor a message came, and neither how a connection fares nor
// when it has ended. Then the descriptor leads nowhere, or to another connection.
package descriptor

import (
	"net/netip"
	"time"
)

// Ends are the addresses of a connection, ours and the peer's: while it lives no
// other one has the same.
type Ends struct{ Local, Remote netip.AddrPort }

// A Traffic is what the system knows of how a connection fares.
type Traffic struct {
	Taken   int64         // bytes that the other end has acknowledged
	Waiting int64         // bytes that the system holds for it, and that it has not
	Way     time.Duration // there and back, smoothed
}
