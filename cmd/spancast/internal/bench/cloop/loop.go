// Package cloop receives and sends through libzmq's C API in loops written in C:
// the subscriber of the benchmark, and bare libzmq, beside which it is measured.
//
// A Receiver or Sender runs in the goroutine that calls its Run, until Stop; its
// counters may be read meanwhile.
package cloop

/*
#cgo pkg-config: libzmq
#cgo CFLAGS: -O2
#include <stdlib.h>
#include <zmq.h>
#include "loop.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Keys of CURVE, in Z85: of a client its own pair and the server's public key,
// of a server its own secret key. Empty: without.
type Keys struct{ Public, Secret, Server string }

// Buckets is the number of a latency histogram's buckets: 16 to every doubling
// of nanoseconds.
const Buckets = C.BUCKETS

// errno is an error of libzmq.
func errno(op string, n C.int) error {
	return fmt.Errorf("%s: %s", op, C.GoString(C.zmq_strerror(n)))
}

func last(op string) error { return errno(op, C.zmq_errno()) }

// context makes a context, with as many sockets as are asked for.
func context(ioThreads, sockets int) (unsafe.Pointer, error) {
	ctx := C.zmq_ctx_new()
	if ctx == nil {
		return nil, last("make a context")
	}
	C.zmq_ctx_set(ctx, C.ZMQ_MAX_SOCKETS, C.int(sockets+8))
	if ioThreads > 0 {
		C.zmq_ctx_set(ctx, C.ZMQ_IO_THREADS, C.int(ioThreads))
	}
	return ctx, nil
}

func setInt(s unsafe.Pointer, option C.int, v int) error {
	n := C.int(v)
	if C.zmq_setsockopt(s, option, unsafe.Pointer(&n), C.size_t(unsafe.Sizeof(n))) != 0 {
		return last("set a socket option")
	}
	return nil
}

func setText(s unsafe.Pointer, option C.int, text string) error {
	c := C.CString(text)
	defer C.free(unsafe.Pointer(c))
	if C.zmq_setsockopt(s, option, unsafe.Pointer(c), C.size_t(len(text))) != 0 {
		return last("set a socket option")
	}
	return nil
}

// configure sets what both ends have.
func configure(s unsafe.Pointer) error {
	return errors.Join(setInt(s, C.ZMQ_LINGER, 0), setInt(s, C.ZMQ_RCVTIMEO, 100), setInt(s, C.ZMQ_SNDTIMEO, 100))
}

// hwm is the high-water mark of all sockets: that of spancast serve.
const hwm = 20000
