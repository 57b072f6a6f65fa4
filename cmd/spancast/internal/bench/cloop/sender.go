package cloop

// #include <stdlib.h>
// #include <zmq.h>
// #include "loop.h"
// static uint64_t s_get64(uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
// static int s_get(int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
// static void s_put(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
import "C"

import (
	"errors"
	"unsafe"
)

// A Sender is bare libzmq: an XPUB socket that sends one message over and over,
// waiting for subscribers that are slow. At a rate it sends bursts of 64, which have
// the time in their header, as the records have that the embedded Spanner's load
// commits together.
type Sender struct {
	ctx unsafe.Pointer
	c   *C.sender
}

// NewSender binds a socket for messages of three frames, at a rate in messages a
// second; 0: as fast as it goes.
func NewSender(endpoint string, ioThreads, rate int, frames [][]byte, keys Keys) (_ *Sender, err error) {
	if len(frames) != 3 {
		return nil, errors.New("a message has three frames")
	}
	ctx, err := context(ioThreads, 1)
	if err != nil {
		return nil, err
	}
	s := &Sender{ctx, (*C.sender)(C.calloc(1, C.sizeof_sender))}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	s.c.rate = C.int64_t(rate)
	for i, f := range frames {
		s.c.frames[i], s.c.lengths[i] = (*C.char)(C.CBytes(f)), C.size_t(len(f))
	}
	if s.c.socket = C.zmq_socket(ctx, C.ZMQ_XPUB); s.c.socket == nil {
		return nil, last("make a socket")
	}
	z := s.c.socket
	errs := []error{configure(z), setInt(z, C.ZMQ_SNDHWM, hwm), setInt(z, C.ZMQ_XPUB_NODROP, 1), setInt(z, C.ZMQ_XPUB_VERBOSER, 1)}
	if keys.Secret != "" {
		errs = append(errs, setInt(z, C.ZMQ_CURVE_SERVER, 1), setText(z, C.ZMQ_CURVE_SECRETKEY, keys.Secret))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e := C.CString(endpoint)
	defer C.free(unsafe.Pointer(e))
	if C.zmq_bind(z, e) != 0 {
		return nil, last("bind " + endpoint)
	}
	return s, nil
}

// Endpoint is where the socket is bound.
func (s *Sender) Endpoint() string {
	var b [256]C.char
	n := C.size_t(len(b))
	C.zmq_getsockopt(s.c.socket, C.ZMQ_LAST_ENDPOINT, unsafe.Pointer(&b[0]), &n)
	return C.GoString(&b[0])
}

// Run waits for so many subscriptions and sends until Stop.
func (s *Sender) Run(subscriptions int) error {
	if C.await(s.c, C.int(subscriptions)) == 0 {
		C.send_all(s.c)
	}
	if e := C.s_get(&s.c.error); e != 0 {
		return errno("send", e)
	}
	return nil
}

// Stop ends Run within a tenth of a second.
func (s *Sender) Stop() { C.s_put(&s.c.stop, 1) }

// Messages is how many were sent.
func (s *Sender) Messages() uint64 { return uint64(C.s_get64(&s.c.messages)) }

// Close closes the socket. Run must have returned.
func (s *Sender) Close() {
	if s.c.socket != nil {
		C.zmq_close(s.c.socket)
	}
	C.zmq_ctx_term(s.ctx)
	for _, f := range s.c.frames {
		C.free(unsafe.Pointer(f))
	}
	C.free(unsafe.Pointer(s.c))
}
