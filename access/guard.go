package access

import (
	"fmt"
	"strconv"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// A Guard answers the questions of the sockets of one context: it is their ZAP
// handler (ZeroMQ's RFC 27), on inproc://zeromq.zap.01.
//
//	frames from a socket   routing id of the question, empty, "1.0", request id, domain,
//	                       address, routing id of the peer, mechanism, 32 bytes of public key
//	frames to it           routing id, empty, "1.0", request id, status, text, user id, metadata
//
// Status 200 lets the peer in, as the user id. 300 does not, and the peer tries
// again. 400 does not, and libzmq's clients never try again: it is for those
// that will not do either.
type Guard struct {
	gate   *Gate
	z      *zmq.Socket
	stop   chan struct{}
	broken chan error // a way for tests to make it fail
	done   chan struct{}

	welcomed uint64 // connections that were let in
}

const (
	zapEndpoint = "inproc://zeromq.zap.01"
	zapVersion  = "1.0"
	zapFrames   = 9
	// stopEvery is how often a guard looks whether it is to end.
	stopEvery = 50 * time.Millisecond
)

// Guard begins to answer for the sockets of a context. It is to be called before
// any of them is bound. Close must follow, after them. Without a gate there is no
// guard, and no CURVE: whoever connects is let in.
func (g *Gate) Guard(ctx *zmq.Context) (*Guard, error) {
	if g == nil {
		return nil, nil
	}
	z, err := ctx.NewSocket(zmq.ROUTER)
	if err != nil {
		return nil, fmt.Errorf("ZAP handler: %w", err)
	}
	w := &Guard{gate: g, z: z, stop: make(chan struct{}), broken: make(chan error, 1), done: make(chan struct{})}
	for _, err := range []error{z.SetLinger(0), z.SetRcvtimeo(stopEvery), z.SetRcvhwm(0), z.SetSndhwm(0), z.Bind(zapEndpoint)} {
		if err != nil {
			z.Close()
			return nil, fmt.Errorf("ZAP handler: %w", err)
		}
	}
	go w.run()
	return w, nil
}

// Close ends the answers, if there is a guard. Sockets of the context that are
// still open let nobody in from then on.
func (w *Guard) Close() {
	if w == nil {
		return
	}
	close(w.stop)
	<-w.done
}

func (w *Guard) run() {
	defer close(w.done)
	defer w.z.Close()
	for {
		select {
		case <-w.stop:
			return
		case err := <-w.broken:
			w.gate.fail(err)
			return
		default:
		}
		if err := w.answer(); err != nil {
			w.gate.fail(err)
			return
		}
	}
}

// answer answers the next question, if one comes.
func (w *Guard) answer() error {
	frames, err := w.z.RecvMessageBytes(0)
	if zsock.IsNothing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(frames) < 4 {
		return nil // not a question, and nobody to answer
	}
	status, text, user := w.decide(frames)
	properties := ""
	if status == "200" {
		w.welcomed++
		properties = property(PropertyKey, PublicKey(frames[8]).String()) + property(propertyConnection, strconv.FormatUint(w.welcomed, 10))
	}
	_, err = w.z.SendMessage(frames[0], "", zapVersion, frames[3], status, text, user, properties)
	return err
}

// property writes a property as ZAP wants it: length, name, length, value.
func property(name, value string) string {
	return string(byte(len(name))) + name + string([]byte{0, 0, 0, byte(len(value))}) + value
}

func (w *Guard) decide(frames [][]byte) (status, text, user string) {
	if len(frames) != zapFrames || string(frames[2]) != zapVersion || string(frames[7]) != "CURVE" || len(frames[8]) != len(PublicKey{}) {
		return "400", "only CURVE is accepted", ""
	}
	grant, verdict := w.gate.admit(Domain(frames[4]), PublicKey(frames[8]), string(frames[5]))
	switch verdict {
	case Welcome:
		return "200", "OK", grant.Identity
	case Never:
		return "400", "revoked", ""
	}
	return "300", "not known here", ""
}
