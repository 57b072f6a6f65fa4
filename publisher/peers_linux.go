package publisher

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// endsOf are the ends of a TCP connection, if address is where its peer is.
func endsOf(fd int, address string) (e ends, ok bool) {
	remote, err := unix.Getpeername(fd)
	if err != nil {
		return e, false
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return e, false
	}
	from := addressOf(remote)
	if peer, err := netip.ParseAddr(address); err != nil || peer.Unmap() != from.Addr() {
		return e, false
	}
	return ends{addressOf(local).String(), from.String()}, true
}

func addressOf(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// trafficOf asks how much goes over a connection; not ok if it has ended.
func trafficOf(fd int, e ends) (t traffic, ok bool) {
	ok = pinned(fd, e, func(pin int) error {
		info, err := unix.GetsockoptTCPInfo(pin, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		waiting, err := unix.IoctlGetInt(pin, unix.TIOCOUTQ)
		t = traffic{fd: fd, taken: int64(info.Bytes_acked), waiting: int64(waiting)}
		return err
	})
	return t, ok
}

// shut ends a connection, both ways. Its descriptor stays libzmq's, which
// notices.
func shut(fd int, e ends) bool {
	return pinned(fd, e, func(pin int) error { return unix.Shutdown(pin, unix.SHUT_RDWR) })
}

// pinned does something with a connection of known ends. Libzmq may close a
// descriptor at any time, and the next connection of the process gets its
// number: so it is duplicated first, and looked at then.
func pinned(fd int, e ends, do func(pin int) error) bool {
	pin, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(pin)
	remote, err := unix.Getpeername(pin)
	if err != nil || addressOf(remote).String() != e.remote {
		return false
	}
	local, err := unix.Getsockname(pin)
	if err != nil || addressOf(local).String() != e.local {
		return false
	}
	if err := do(pin); err != nil {
		return false
	}
	return true
}
