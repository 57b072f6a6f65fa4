//go:build unix

package access

import (
	"net/netip"
	"syscall"
)

// Peer is the address and port at the other end of a descriptor, empty when
// there is none.
func Peer(fd int) string {
	switch a, err := syscall.Getpeername(fd); a := a.(type) {
	case *syscall.SockaddrInet4:
		if err == nil {
			return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
		}
	case *syscall.SockaddrInet6:
		if err == nil {
			return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
		}
	}
	return ""
}
