package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
)

// A publication is one message that came.
type publication struct {
	epoch   string // of its publisher
	counter uint64 // of the root
	id      identity
	row     string
	version message.Version
}

// An identity names a write: the number that it wrote, or deleted.
type identity struct {
	op     string
	number int64
}

// A subscriber has a socket that is connected to every link of publishers, for
// ever, and remembers what came.
type subscriber struct {
	stop, done chan struct{}

	mu   sync.Mutex
	came []publication
	seen map[identity]bool
	errs []error
}

func newSubscriber(t testing.TB, links []*slot) *subscriber {
	t.Helper()
	socket := harness.Socket(t, zmq.SUB)
	err := errors.Join(socket.SetRcvhwm(0), socket.SetRcvtimeo(50*time.Millisecond), socket.SetReconnectIvl(20*time.Millisecond), socket.SetSubscribe(""))
	for _, s := range links {
		err = errors.Join(err, socket.Connect("tcp://"+s.pub.Addr()))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &subscriber{stop: make(chan struct{}), done: make(chan struct{}), seen: make(map[identity]bool)}
	go s.receive(socket)
	t.Cleanup(func() {
		close(s.stop)
		<-s.done
	})
	return s
}

// receive owns the socket.
func (s *subscriber) receive(socket *zmq.Socket) {
	defer close(s.done)
	defer socket.Close()
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		frames, err := socket.RecvMessageBytes(0)
		if err != nil {
			continue // nothing came for a while
		}
		if _, _, control := message.Control(string(frames[0])); control {
			continue
		}
		p, err := read(frames)
		s.mu.Lock()
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("%q: %w", frames, err))
		} else {
			s.came = append(s.came, p)
			s.seen[p.id] = true
		}
		s.mu.Unlock()
	}
}

// read makes sense of a change.
func read(frames [][]byte) (p publication, err error) {
	if len(frames) != 3 {
		return p, fmt.Errorf("%d frames", len(frames))
	}
	h, err := message.ParseHeader(frames[1])
	if err != nil {
		return p, err
	}
	a, err := message.ParseAttributes(h.Attributes)
	if err != nil {
		return p, err
	}
	if p.version, err = message.ParseVersion(h.Version); err != nil {
		return p, err
	}
	var body struct {
		Keys struct{ ID string } `json:"keys"`
		New  struct{ V string }  `json:"new_values"`
		Old  struct{ V string }  `json:"old_values"`
	}
	if err := json.Unmarshal(frames[2], &body); err != nil {
		return p, err
	}
	value := body.New.V
	if a.Op == "DELETE" {
		value = body.Old.V
	}
	p.counter, _ = h.Counter(0)
	p.epoch, p.row, p.id.op = string(h.Epoch), a.Table+" "+body.Keys.ID, a.Op
	p.id.number, err = strconv.ParseInt(value, 10, 64)
	return p, err
}

// has tells whether a write was seen.
func (s *subscriber) has(id identity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id]
}

// take returns what came since the last call.
func (s *subscriber) take() ([]publication, []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	came, errs := s.came, s.errs
	s.came, s.errs = nil, nil
	return came, errs
}
