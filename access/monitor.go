package access

import (
	"fmt"
	"sync/atomic"

	zmq "github.com/pebbe/zmq4"
)

// A monitor counts the connections to a socket that end before their owner has
// said who he is. Events have to be read: libzmq's own thread waits for that
// when too many are queued.
type monitor struct {
	of   *zmq.Socket
	done chan struct{}
}

const dropped = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL

// monitorOf begins to count in n. It is for the socket's owner, and so is stop.
func monitorOf(z *zmq.Socket, n *atomic.Uint64) (*monitor, error) {
	ctx, err := z.Context()
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	events, err := ctx.NewSocket(zmq.PAIR)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	m := &monitor{of: z, done: make(chan struct{})}
	where := fmt.Sprintf("inproc://monitor-%p", m)
	for _, err := range []error{events.SetLinger(0), z.Monitor(where, dropped|zmq.EVENT_MONITOR_STOPPED), events.Connect(where)} {
		if err != nil {
			events.Close()
			return nil, fmt.Errorf("monitor: %w", err)
		}
	}
	go m.run(events, n)
	return m, nil
}

func (m *monitor) run(events *zmq.Socket, n *atomic.Uint64) {
	defer close(m.done)
	defer events.Close()
	for {
		event, _, _, err := events.RecvEvent(0)
		if err != nil || event == zmq.EVENT_MONITOR_STOPPED {
			return // also when the context ends
		}
		n.Add(1)
	}
}

// stop ends the counting, before the socket is closed.
func (m *monitor) stop() {
	if m.of.Monitor("", 0) == nil {
		<-m.done
	}
}
