// Package descriptor asks the kernel about TCP connections of libzmq, which tells
// over which descriptor a message came, and neither how a connection fares nor
// when it has ended. Then the descriptor leads nowhere, or to another connection.
package descriptor

import "net/netip"

// Ends are the addresses of a connection, ours and the peer's: while it lives no
// other one has the same.
type Ends struct{ Local, Remote netip.AddrPort }
