package descriptor

import (
	"time"

	"golang.org/x/sys/unix"
)

// Unsent is the number of bytes that the system holds for the other end of a
// connection and that it has not taken yet, 0 when that is not known.
func Unsent(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// TrafficOf is that of a connection; not ok if it has ended.
func TrafficOf(fd int, e Ends) (t Traffic, ok bool) {
	ok = pinned(fd, e, func(pin int) error {
		info, err := unix.GetsockoptTCPInfo(pin, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		unsent, err := unix.IoctlGetInt(pin, unix.SIOCOUTQ)
		t = Traffic{int64(info.Bytes_acked), int64(unsent), time.Duration(info.Rtt) * time.Microsecond}
		return err
	})
	return t, ok
}

// Shut ends a connection, both ways. Its descriptor stays libzmq's, which
// notices.
func Shut(fd int, e Ends) bool {
	return pinned(fd, e, func(pin int) error { return unix.Shutdown(pin, unix.SHUT_RDWR) })
}

// pinned does something with a connection of known ends. Libzmq may close a
// descriptor at any time, and the next connection of the process gets its
// number: so it is duplicated first, and looked at then.
func pinned(fd int, e Ends, do func(pin int) error) bool {
	pin, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(pin)
	if now, ok := EndsOf(pin); !ok || now != e {
		return false
	}
	return do(pin) == nil
}
