package access

/*
#cgo !windows pkg-config: libzmq
#include <zmq.h>

static int set_int(void *socket, int option, int value) {
	return zmq_setsockopt(socket, option, &value, sizeof value);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// Secure makes what z binds from now on a CURVE server with a key, whose clients
// are let into a domain by the Guard of its context, and by nobody else.
func Secure(z *zmq.Socket, key SecretKey, d Domain) error {
	if key.IsZero() {
		return errors.New("CURVE: no server key")
	}
	err := errors.Join(z.SetCurveServer(1), z.SetCurveSecretkey(key.Reveal()), z.SetZapDomain(string(d)), enforceDomain(z))
	if err != nil {
		return fmt.Errorf("CURVE: %w", err)
	}
	return nil
}

// SecureClient makes what z connects to from now on be the server of a public
// key, and z known to it by its own key.
func SecureClient(z *zmq.Socket, own SecretKey, server PublicKey) error {
	if own.IsZero() {
		return errors.New("CURVE: no key of our own")
	}
	if err := zsock.Trust(z, server.String(), own.Public().String(), own.Reveal()); err != nil {
		return fmt.Errorf("CURVE: %w", err)
	}
	return nil
}

// zapEnforceDomain is ZMQ_ZAP_ENFORCE_DOMAIN, which zmq.h has among the drafts;
// libzmq knows it all the same.
const zapEnforceDomain = 93

// enforceDomain makes libzmq refuse connections while there is no Guard. Without
// it, a context that has lost its ZAP handler lets everybody in.
//
// The handle is the first field of pebbe's Socket; TestSecure_FailsClosed fails
// if that should change.
func enforceDomain(z *zmq.Socket) error {
	handle := *(*unsafe.Pointer)(unsafe.Pointer(z))
	rc, err := C.set_int(handle, zapEnforceDomain, 1)
	runtime.KeepAlive(z)
	if rc != 0 {
		return fmt.Errorf("enforce the ZAP domain: %w", err)
	}
	return nil
}
