package access

import "golang.org/x/sys/unix"

// Unsent is the number of bytes that the system holds for the other end of a
// connection and that it has not taken yet, 0 when that is not known.
func Unsent(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
