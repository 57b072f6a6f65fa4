package publisher

/*
#cgo !windows pkg-config: libzmq
#cgo noescape send_light
#cgo nocallback send_light
#include <errno.h>
#include <zmq.h>

static int send_frame(void *socket, const void *data, size_t size, int flags) {
	int rc;
	do rc = zmq_send(socket, data, size, flags); while (rc < 0 && errno == EINTR);
	return rc;
}

// send_light sends a message of three frames, which ZeroMQ copies, and returns
// how many of them were sent. Only the first can find a queue full, or wait for it.
static int send_light(void *socket, const char *topic, size_t topic_size, const char *header, size_t header_size, const char *body, size_t body_size, int wait) {
	if (send_frame(socket, topic, topic_size, ZMQ_SNDMORE | wait) < 0)
		return 0;
	if (send_frame(socket, header, header_size, ZMQ_SNDMORE) < 0)
		return 1;
	if (send_frame(socket, body, body_size, 0) < 0)
		return 2;
	return 3;
}
*/
import "C"

import (
	"runtime"
	"unsafe"

	zmq "github.com/pebbe/zmq4"
)

// sendLight sends a whole message with one crossing into C, instead of three. It
// is not sent when the error says that a queue is full.
//
// The socket's handle is the first field of pebbe's Socket; see access.Secure.
func sendLight(z *zmq.Socket, topic, header, body []byte, wait zmq.Flag) (sent bool, err error) {
	handle := *(*unsafe.Pointer)(unsafe.Pointer(z))
	n, err := C.send_light(handle, chars(topic), C.size_t(len(topic)), chars(header), C.size_t(len(header)), chars(body), C.size_t(len(body)), C.int(wait))
	runtime.KeepAlive(z)
	if n == 3 {
		return true, nil
	}
	return false, err
}

// chars is where bytes begin, as a type that cgo need not look into.
func chars(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }
