package publisher

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/internal/zsock"
)

const (
	// patience is how long a full queue is waited for before its subscriber
	// loses messages, and patienceEach how much of every second goes there at
	// most.
	patience     = 20 * time.Millisecond
	patienceEach = 50 * time.Millisecond
)

// A socket is an XPUB socket that drops for slow subscribers only. It is for one
// goroutine.
//
// XPUB_NODROP makes a send fail when any matching queue is full. After some
// patience the message is sent once more without that option: full queues miss
// it, and are left alone by ZeroMQ until they have drained; all others get it.
type socket struct {
	z     *zmq.Socket
	hurry func() bool // asked while a full queue is waited for: whether to wait no longer
	// ballast is the large bodies that wait in the queues.
	ballast *ballast

	block    time.Duration // with SlowBlock: how long to wait for a full queue
	waitable time.Duration // of SNDTIMEO as it is set
	second   time.Time     // in which spent was spent
	spent    time.Duration
	dropped  uint64 // how often somebody was too slow
}

// openSocket makes the socket of an audience.
func openSocket(ctx *zmq.Context, o *Options, a Audience) (*socket, error) {
	z, err := ctx.NewSocket(zmq.XPUB)
	if err != nil {
		return nil, err
	}
	s := &socket{z: z, hurry: func() bool { return false }, ballast: newBallast(o.MaxBuffer/int64(len(o.audiences())), o.Log)}
	if o.Slow == SlowBlock {
		s.block = o.BlockTimeout
	}
	if err := s.configure(o, a); err != nil {
		zsock.Close(z, 0)
		return nil, fmt.Errorf("configure the PUB socket: %w", err)
	}
	return s, nil
}

func (s *socket) configure(o *Options, a Audience) error {
	s.waitable = patience
	errs := []error{
		s.z.SetSndhwm(o.SendHWM),
		s.z.SetXpubVerboser(1), // every subscription, so that each can be answered and counted
		s.z.SetXpubNodrop(true),
		s.z.SetSndtimeo(patience),
		zsock.LimitSubscribers(s.z, slices.Concat(a.Bind, a.Connect)),
	}
	if o.Heartbeat > 0 {
		errs = append(errs, zsock.Heartbeat(s.z, o.Heartbeat))
	}
	return errors.Join(errs...)
}

func isFull(err error) bool { return zmq.AsErrno(err) == zmq.Errno(syscall.EAGAIN) }

// send sends a message of three frames. Proceed is asked while a full queue is
// waited for; when it says no, the message is not sent. Nor is it when it is
// large, and there is no room for more such.
func (s *socket) send(topic, header, body []byte, proceed func() bool) error {
	if len(body) >= heavy {
		if ok, err := s.makeRoom(len(body), proceed); !ok {
			return err
		}
	}
	sent, err := false, error(nil)
	if len(body) < heavy {
		sent, err = sendLight(s.z, topic, header, body, 0)
	} else if _, err = s.z.SendBytes(topic, zmq.SNDMORE); err == nil {
		return s.rest(header, body)
	}
	if sent {
		return nil
	}
	if !isFull(err) {
		return fmt.Errorf("send: %w", err)
	}
	if sent, err := s.wait(topic, proceed); sent {
		return s.rest(header, body)
	} else if err != nil {
		return err
	}
	s.dropped++
	if err := s.z.SetXpubNodrop(false); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err = s.z.SendBytes(topic, zmq.SNDMORE); err == nil {
		err = s.rest(header, body)
	}
	return errors.Join(err, s.z.SetXpubNodrop(true))
}

// trySend sends a message like send, unless that could take time.
func (s *socket) trySend(topic, header, body []byte) error {
	if len(body) >= heavy {
		return errLeft
	}
	sent, err := sendLight(s.z, topic, header, body, zmq.DONTWAIT)
	if sent {
		return nil
	}
	if isFull(err) {
		return errLeft
	}
	return fmt.Errorf("send: %w", err)
}

func (s *socket) rest(header, body []byte) error {
	_, err := s.z.SendBytes(header, zmq.SNDMORE)
	if err == nil && len(body) >= heavy {
		return s.ballast.send(s.z, body)
	}
	if err == nil {
		_, err = s.z.SendBytes(body, 0)
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

var errNotOurs = errors.New("the lease ran out while a slow subscriber was waited for")

// wait goes on waiting for room as the policy says, after one send that waited
// already. It tells whether the topic was sent then.
func (s *socket) wait(topic []byte, proceed func() bool) (sent bool, err error) {
	if s.block == 0 {
		return false, s.bePatient()
	}
	for until := time.Now().Add(s.block); time.Now().Before(until); {
		if !proceed() {
			return false, errNotOurs
		}
		if s.hurry() {
			break
		}
		_, err := s.z.SendBytes(topic, zmq.SNDMORE)
		if err == nil {
			return true, nil
		}
		if !isFull(err) {
			return false, fmt.Errorf("send: %w", err)
		}
	}
	return false, nil
}

// bePatient accounts for a wait, and takes care that there are not too many.
func (s *socket) bePatient() error {
	if now := time.Now(); now.Sub(s.second) >= time.Second {
		s.second, s.spent = now, 0
	}
	s.spent += s.waitable
	want := patience
	if s.spent >= patienceEach {
		want = 0
	}
	return s.setWait(want)
}

func (s *socket) setWait(d time.Duration) error {
	if d == s.waitable {
		return nil
	}
	s.waitable = d
	return s.z.SetSndtimeo(d)
}

// refresh lets a new second begin.
func (s *socket) refresh(now time.Time) error {
	if s.block > 0 || s.waitable == patience || now.Sub(s.second) < time.Second {
		return nil
	}
	s.second, s.spent = now, 0
	return s.setWait(patience)
}

// settle lets the socket notice who has gone.
func (s *socket) settle() {
	for {
		if _, came, err := access.ReceiveSubscription(s.z); !came || err != nil {
			return
		}
	}
}
