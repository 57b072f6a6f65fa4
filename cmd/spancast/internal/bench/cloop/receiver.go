package cloop

// #include <stdlib.h>
// #include <zmq.h>
// #include "loop.h"
// static uint64_t r_get64(uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
// static int r_get(int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
// static void r_put(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
// static void r_place(receiver *r, int i, void *v) { r->sockets[i] = v; }
// static void *r_at(receiver *r, int i) { return r->sockets[i]; }
import "C"

import (
	"errors"
	"unsafe"
)

// A Receiver is SUB sockets that count what they get.
type Receiver struct {
	ctx unsafe.Pointer
	c   *C.receiver
}

// Counts are what a Receiver has got: changes and their bytes, over all sockets;
// control messages; and the changes of the socket that got fewest.
type Counts struct {
	Messages, Bytes, Controls, Least uint64
	// Latency from commit to here, by bucket.
	Latency []uint64
}

// NewReceiver connects n sockets to an endpoint, each with all the prefixes.
func NewReceiver(endpoint string, n int, prefixes []string, keys Keys) (_ *Receiver, err error) {
	ctx, err := context(0, n)
	if err != nil {
		return nil, err
	}
	c := (*C.receiver)(C.calloc(1, C.sizeof_receiver))
	c.sockets = (*unsafe.Pointer)(C.calloc(C.size_t(n), C.size_t(unsafe.Sizeof(ctx))))
	c.each = (*C.uint64_t)(C.calloc(C.size_t(n), 8))
	r := &Receiver{ctx, c}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	for i := range n {
		s := C.zmq_socket(ctx, C.ZMQ_SUB)
		if s == nil {
			return nil, last("make a socket")
		}
		C.r_place(c, C.int(i), s)
		c.n++
		if err := subscribe(s, endpoint, prefixes, keys); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func subscribe(s unsafe.Pointer, endpoint string, prefixes []string, keys Keys) error {
	// SNDHWM bounds subscriptions: without 0, those beyond 1000 are lost.
	errs := []error{configure(s), setInt(s, C.ZMQ_RCVHWM, hwm), setInt(s, C.ZMQ_SNDHWM, 0)}
	if keys.Server != "" {
		errs = append(errs, setText(s, C.ZMQ_CURVE_SERVERKEY, keys.Server), setText(s, C.ZMQ_CURVE_PUBLICKEY, keys.Public), setText(s, C.ZMQ_CURVE_SECRETKEY, keys.Secret))
	}
	for _, p := range prefixes {
		errs = append(errs, setText(s, C.ZMQ_SUBSCRIBE, p))
	}
	e := C.CString(endpoint)
	defer C.free(unsafe.Pointer(e))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if C.zmq_connect(s, e) != 0 {
		return last("connect to " + endpoint)
	}
	return nil
}

// Run receives until Stop.
func (r *Receiver) Run() error {
	C.receive(r.c)
	if e := C.r_get(&r.c.error); e != 0 {
		return errno("receive", e)
	}
	return nil
}

// Stop ends Run within a tenth of a second.
func (r *Receiver) Stop() { C.r_put(&r.c.stop, 1) }

// Counts reads the counters.
func (r *Receiver) Counts() Counts {
	out := Counts{Messages: uint64(C.r_get64(&r.c.messages)), Bytes: uint64(C.r_get64(&r.c.bytes)), Controls: uint64(C.r_get64(&r.c.controls)),
		Least: uint64(C.r_get64(&r.c.least)), Latency: make([]uint64, Buckets)}
	if r.c.n == 1 {
		out.Least = out.Messages
	}
	for i := range out.Latency {
		out.Latency[i] = uint64(C.r_get64(&r.c.latency[i]))
	}
	return out
}

// Sample is the frames of the first change; nil before it came.
func (r *Receiver) Sample() [][]byte {
	if C.r_get(&r.c.sampled) == 0 {
		return nil
	}
	var out [][]byte
	at := 0
	for _, n := range r.c.lengths {
		out = append(out, C.GoBytes(unsafe.Pointer(&r.c.sample[at]), C.int(n)))
		at += int(n)
	}
	return out
}

// Close closes the sockets. Run must have returned.
func (r *Receiver) Close() {
	for i := range int(r.c.n) {
		C.zmq_close(C.r_at(r.c, C.int(i)))
	}
	C.zmq_ctx_term(r.ctx)
	C.free(unsafe.Pointer(r.c.sockets))
	C.free(unsafe.Pointer(r.c.each))
	C.free(unsafe.Pointer(r.c))
}
