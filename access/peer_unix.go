//go:build unix

package access

import (
	"fmt"
	"syscall"
)

// peerOf is the address and port at the other end of a descriptor, empty when
// there is none.
func peerOf(fd int) string {
	switch a, err := syscall.Getpeername(fd); a := a.(type) {
	case *syscall.SockaddrInet4:
		if err == nil {
			return fmt.Sprint(a.Addr, a.Port)
		}
	case *syscall.SockaddrInet6:
		if err == nil {
			return fmt.Sprint(a.Addr, a.Port)
		}
	}
	return ""
}
