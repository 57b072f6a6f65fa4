package subscriber

import (
	"errors"
	"fmt"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
	"github.com/spancast/spancast/message"
)

// sockets are a SUB and a DEALER socket in a context of their own. They are for
// one goroutine.
type sockets struct {
	keys    keys
	links   map[string]string // keys of the servers that the SUB socket is connected to, by endpoint
	ctx     *zmq.Context
	sub     *zmq.Socket
	dealer  *zmq.Socket // nil until something is asked
	peer    string      // endpoint of the dealer
	peerKey string
	asked   []string // topics that are subscribed to and given up, to be answered
	frames  [4][]byte
}

const (
	reconnectFirst = 100 * time.Millisecond
	reconnectLast  = 2 * time.Second
	// heartbeat is of ZMTP: a connection whose other end does not answer is made
	// anew.
	heartbeat = 5 * time.Second
)

func openSockets(o *Options, cfg *config, k keys) (_ *sockets, err error) {
	s := &sockets{keys: k, links: make(map[string]string)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if s.sub, err = s.ctx.NewSocket(zmq.SUB); err != nil {
		return nil, err
	}
	// Subscriptions count for the send high-water mark; none may be dropped.
	errs := []error{s.prepare(s.sub), s.sub.SetRcvhwm(o.Queue), s.sub.SetSndhwm(0)}
	subscribe := []string{message.Hello, message.Bye, message.Gap}
	s.asked = []string{message.Hello}
	if !o.Follow {
		subscribe = append(subscribe, message.Resolved)
		for _, l := range cfg.levels {
			subscribe = append(subscribe, l.prefix)
			s.asked = append(s.asked, l.prefix+message.Resolved)
		}
	}
	for _, topic := range subscribe {
		errs = append(errs, s.sub.SetSubscribe(topic))
	}
	for _, endpoint := range cfg.connect {
		errs = append(errs, s.connect(endpoint))
	}
	return s, errors.Join(errs...)
}

// prepare sets what both sockets have in common.
func (s *sockets) prepare(z *zmq.Socket) error {
	return errors.Join(z.SetLinger(0), z.SetReconnectIvl(reconnectFirst), z.SetReconnectIvlMax(reconnectLast), z.SetIpv6(true),
		zsock.Heartbeat(z, heartbeat), zsock.KeepAlive(z))
}

func (s *sockets) connect(endpoint string) error {
	if err := s.keys.secure(s.sub, endpoint); err != nil {
		return err
	}
	if err := s.sub.Connect(endpoint); err != nil {
		return fmt.Errorf("connect to %q: %w; an endpoint looks like tcp://127.0.0.1:5556", endpoint, err)
	}
	s.links[endpoint] = s.keys.at(endpoint)
	return nil
}

func (s *sockets) disconnect(endpoint string) error {
	delete(s.links, endpoint)
	return s.sub.Disconnect(endpoint)
}

// move follows new keys: where there is another one than the connection was made
// with, it is made anew. Before, what is new is connected to: while a server's
// key is replaced the same messages come from two endpoints, so that none is
// missed. What is gone is left at last.
func (s *sockets) move(k keys, connect, leave []string) error {
	s.keys = k
	var errs []error
	for _, endpoint := range connect {
		if _, connected := s.links[endpoint]; !connected {
			errs = append(errs, s.connect(endpoint))
		}
	}
	for _, endpoint := range leave {
		if _, connected := s.links[endpoint]; connected {
			errs = append(errs, s.disconnect(endpoint))
		}
	}
	for endpoint, key := range s.links {
		if key != k.at(endpoint) {
			errs = append(errs, s.disconnect(endpoint), s.connect(endpoint))
		}
	}
	if s.peer != "" && s.peerKey != k.at(s.peer) { // its requests are made again, elsewhere
		s.hangUp()
	}
	return errors.Join(errs...)
}

// ping makes every publisher say at once how the levels stand and who it is: it
// answers a new subscription to a control topic, which is then given up.
func (s *sockets) ping() error {
	var errs []error
	for _, topic := range s.asked {
		errs = append(errs, s.sub.SetSubscribe(topic), s.sub.SetUnsubscribe(topic))
	}
	return errors.Join(errs...)
}

// send sends a request, or queues it until there is a connection.
func (s *sockets) send(r *request) error {
	if s.peer != r.endpoint {
		if err := s.dial(r.endpoint); err != nil {
			return err
		}
	}
	_, err := s.dealer.SendBytes([]byte(r.command), zmq.SNDMORE)
	if err == nil {
		_, err = s.dealer.SendBytes(r.body, 0)
	}
	return err
}

// dial makes a new DEALER socket, connected to one endpoint.
func (s *sockets) dial(endpoint string) (err error) {
	s.hangUp()
	z, err := s.ctx.NewSocket(zmq.DEALER)
	if err != nil {
		return err
	}
	// What arrives is bounded by credit. ZMQ_IMMEDIATE would tell whether there
	// is a connection; but with it a connection that breaks takes the rest of
	// a message away that is being read, and libzmq 4.3.4 aborts ("!_more").
	err = errors.Join(s.prepare(z), s.keys.secure(z, endpoint), z.SetRcvhwm(0), z.SetSndhwm(0), z.Connect(endpoint))
	if err != nil {
		z.Close()
		return fmt.Errorf("connect to the recovery endpoint %q: %w", endpoint, err)
	}
	s.dealer, s.peer, s.peerKey = z, endpoint, s.keys.at(endpoint)
	return nil
}

func (s *sockets) hangUp() {
	if s.dealer != nil {
		s.dealer.Close()
		s.dealer, s.peer = nil, ""
	}
}

// receive reads a message without waiting. It returns the frames, none when
// there is no message, in memory that is the caller's but for the outer slice;
// those beyond the fourth are left out.
func (s *sockets) receive(z *zmq.Socket) (frames [][]byte, err error) {
	for n := 0; ; n++ {
		b, err := z.RecvBytes(zmq.DONTWAIT)
		if err != nil {
			if n == 0 && zsock.IsNothing(err) {
				return nil, nil
			}
			return nil, fmt.Errorf("receive: %w", err)
		}
		if n < len(s.frames) {
			s.frames[n] = b
		}
		if more, err := z.GetRcvmore(); err != nil {
			return nil, fmt.Errorf("receive: %w", err)
		} else if !more {
			return s.frames[:min(n+1, len(s.frames))], nil
		}
	}
}

// wait waits until something has come.
func (s *sockets) wait(d time.Duration) error {
	poller := zmq.NewPoller()
	poller.Add(s.sub, zmq.POLLIN)
	if s.dealer != nil {
		poller.Add(s.dealer, zmq.POLLIN)
	}
	if _, err := poller.Poll(d); err != nil && !zsock.IsNothing(err) {
		return fmt.Errorf("wait: %w", err)
	}
	return nil
}

func (s *sockets) close() {
	if s.sub != nil {
		s.sub.Close()
	}
	if s.dealer != nil {
		s.dealer.Close()
	}
	zsock.End(s.ctx, 0)
}
