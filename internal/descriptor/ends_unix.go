//go:build unix

package descriptor

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// EndsOf are the ends of a TCP connection; not ok if there is none.
func EndsOf(fd int) (e Ends, ok bool) {
	e = Ends{addressOf(unix.Getsockname(fd)), addressOf(unix.Getpeername(fd))}
	return e, e.Local.IsValid() && e.Remote.IsValid()
}

// Peer is the address and port at the other end of a descriptor, empty when
// there is none.
func Peer(fd int) string {
	a := addressOf(unix.Getpeername(fd))
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func addressOf(a unix.Sockaddr, err error) netip.AddrPort {
	if err != nil {
		return netip.AddrPort{}
	}
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
