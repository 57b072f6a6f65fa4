package h2rpc

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Quick returns the connection with system calls that the Go scheduler does not hear
// of. They do not block, since the socket does not; but one that takes longer than
// 20 us, as a write that the loopback interface delivers at once, has its processor
// taken away and given back, by a thread that then looks every 20 us whether it
// happens again. For one reader and one writer at a time.
func Quick(nc *net.TCPConn) (net.Conn, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &quickConn{TCPConn: nc, raw: raw}
	q.in.call, q.out.call = syscall.SYS_READ, syscall.SYS_WRITE
	q.in.again, q.out.again = q.in.try, q.out.try
	return q, nil
}

type quickConn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
}

// A transfer is one call of Read or Write. It lives as long as the connection, so
// that nothing is allocated for a call.
type transfer struct {
	call  uintptr
	again func(fd uintptr) bool
	b     []byte
	n     int
	errno syscall.Errno
}

// try moves what can be moved; false: wait until more can.
func (t *transfer) try(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(t.call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.b))), uintptr(len(t.b)))
		switch errno {
		case 0:
			t.n += int(n)
			t.b = t.b[n:]
			return t.call == syscall.SYS_READ || len(t.b) == 0
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.errno = errno
			return true
		}
	}
}

// do is Read or Write; wait is how to wait.
func (t *transfer) do(b []byte, wait func(func(uintptr) bool) error, name string) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t.b, t.n, t.errno = b, 0, 0
	err := wait(t.again)
	t.b = nil
	if t.errno != 0 {
		err = os.NewSyscallError(name, t.errno)
	}
	return t.n, err
}

// Read implements net.Conn.
func (q *quickConn) Read(b []byte) (int, error) {
	n, err := q.in.do(b, q.raw.Read, "read")
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (q *quickConn) Write(b []byte) (int, error) { return q.out.do(b, q.raw.Write, "write") }
