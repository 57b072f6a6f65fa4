package publisher

/*
#cgo !windows pkg-config: libzmq
#cgo noescape send_heavy
#cgo nocallback send_heavy
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// A body that ZeroMQ has, in front of its bytes.
typedef struct { long long *held; long long size; } heavy;

// let_go is called by whatever thread drops the last reference to a body.
static void let_go(void *data, void *hint) {
	heavy *h = hint;
	__atomic_sub_fetch(h->held, h->size, __ATOMIC_RELAXED);
	free(h);
}

// send_heavy sends the last frame of a message. Its bytes count in held until
// the last queue has let go of them.
static int send_heavy(void *socket, const void *body, size_t size, long long *held) {
	heavy *h = malloc(sizeof *h + size);
	if (!h) {
		errno = ENOMEM;
		return -1;
	}
	h->held = held;
	h->size = sizeof *h + size;
	memcpy(h + 1, body, size);
	zmq_msg_t msg;
	if (zmq_msg_init_data(&msg, h + 1, size, let_go, h) != 0) {
		free(h);
		return -1;
	}
	__atomic_add_fetch(held, h->size, __ATOMIC_RELAXED);
	int rc;
	do rc = zmq_msg_send(&msg, socket, 0); while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		int e = errno;
		zmq_msg_close(&msg);
		errno = e;
	}
	return rc;
}

// new_held makes a count. glibc would keep the memory of the largest bodies, in an
// arena for each thread that ever sent one; what is mapped instead is given back
// at once.
static long long *new_held(void) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
	return calloc(1, sizeof(long long));
}
*/
import "C"

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	zmq "github.com/pebbe/zmq4"
)

// heavy is the size from which the bytes of bodies are counted while they wait
// in ZeroMQ's queues. Those queues are bounded by their number of messages only:
// what SEND_HWM messages of this size take is what lighter ones can take.
const heavy = 8 << 10

// A ballast is the heavy bodies that wait in the queues of a socket, each
// counted once however many queues have it. The queues have no bound in bytes,
// nor can a message count for more than one in them; so when there is no room,
// whoever holds it up loses the connection, and his queue with it.
type ballast struct {
	limit int64
	held  *C.longlong // in C's memory, for libzmq's threads; never freed, since they may outlive the socket
	peers *peers
}

func newBallast(limit int64, log *slog.Logger) *ballast {
	return &ballast{limit: limit, held: C.new_held(), peers: newPeers(log)}
}

// waiting is how many bytes wait.
func (b *ballast) waiting() int64 { return atomic.LoadInt64((*int64)(unsafe.Pointer(b.held))) }

// fits tells whether there is room for a body. One alone always fits.
func (b *ballast) fits(size int) bool {
	n := b.waiting()
	return n == 0 || n+int64(size)+C.sizeof_heavy <= b.limit
}

// send sends the last frame of a message. The socket's handle is the first field
// of pebbe's Socket; see access.Secure.
func (b *ballast) send(z *zmq.Socket, body []byte) error {
	handle := *(*unsafe.Pointer)(unsafe.Pointer(z))
	rc, err := C.send_heavy(handle, unsafe.Pointer(unsafe.SliceData(body)), C.size_t(len(body)), b.held)
	runtime.KeepAlive(z)
	if rc < 0 {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

const (
	// roomEvery is how often room is looked for while it is waited for.
	roomEvery = time.Millisecond
	// cutTime is how long the queue of a connection that was ended may take to
	// be emptied.
	cutTime = 100 * time.Millisecond
)

// makeRoom waits for room for a heavy body as the policy says, and then ends the
// connections that take least of what waits for them. When it is not their fault
// there is no room, and the message is for nobody.
func (s *socket) makeRoom(size int, proceed func() bool) (ok bool, err error) {
	b := s.ballast
	if b.waiting() > b.limit/4 {
		b.peers.observe(time.Now())
	}
	if b.fits(size) {
		return true, nil
	}
	patience := s.waitable
	if s.block > 0 {
		patience = s.block
	}
	if ok, err := s.await(size, patience, proceed); ok || err != nil {
		return ok, err
	}
	s.dropped++
	if s.block == 0 {
		if err := s.bePatient(); err != nil {
			return false, err
		}
	}
	if ok, err := s.await(size, b.peers.unripe(time.Now()), proceed); ok || err != nil {
		return ok, err
	}
	for most := 1; b.peers.cut(most); most *= 2 { // however many there are, it does not take long
		if ok, err := s.await(size, cutTime, proceed); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// await waits for room, looks who takes what, and lets the socket notice who has
// gone.
func (s *socket) await(size int, patience time.Duration, proceed func() bool) (ok bool, err error) {
	for until := time.Now().Add(patience); time.Now().Before(until) && !s.hurry(); {
		if !proceed() {
			return false, errNotOurs
		}
		if _, err := s.z.GetEvents(); err != nil {
			return false, fmt.Errorf("send: %w", err)
		}
		if s.ballast.fits(size) {
			return true, nil
		}
		s.ballast.peers.observe(time.Now())
		time.Sleep(roomEvery)
	}
	return false, nil
}
