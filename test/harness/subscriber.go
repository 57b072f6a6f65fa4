package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/message"
)

// A Message is a message as it came.
type Message struct {
	Topic      string
	Kind       string // of a control message
	Header     message.Header
	Version    message.Version
	Attributes message.Attributes
	Body       []byte
	At         time.Time // when it was received
}

// Mods are the three values of a native body.
type Mods struct {
	Keys json.RawMessage `json:"keys"`
	New  json.RawMessage `json:"new_values"`
	Old  json.RawMessage `json:"old_values"`
}

// Mods takes a native body apart.
func (m *Message) Mods() (Mods, error) {
	var mods Mods
	err := json.Unmarshal(m.Body, &mods)
	return mods, err
}

// A Subscriber collects everything that is published under some topics.
type Subscriber struct {
	t      testing.TB
	socket *zmq.Socket
	stop   chan struct{}
	done   chan struct{}

	mu       sync.Mutex
	messages []*Message
	wake     chan struct{}
	err      error
}

// Subscribe subscribes to prefixes at endpoints, until the test ends.
func Subscribe(t testing.TB, endpoints []string, prefixes ...string) *Subscriber {
	t.Helper()
	s := &Subscriber{t: t, socket: Socket(t, zmq.SUB), stop: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{})}
	check(t, errors.Join(s.socket.SetRcvhwm(0), s.socket.SetRcvtimeo(50*time.Millisecond), s.socket.SetReconnectIvl(20*time.Millisecond)))
	for _, p := range prefixes {
		check(t, s.socket.SetSubscribe(p))
	}
	for _, e := range endpoints {
		check(t, s.socket.Connect(e))
	}
	go s.receive()
	t.Cleanup(func() {
		close(s.stop)
		<-s.done
		if err := s.failure(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *Subscriber) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// receive owns the socket.
func (s *Subscriber) receive() {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		frames, err := s.socket.RecvMessageBytes(0)
		if err != nil {
			continue // nothing came for a while
		}
		m, err := parse(frames)
		s.mu.Lock()
		if err != nil {
			s.err = errors.Join(s.err, fmt.Errorf("%q: %w", frames, err))
		} else {
			s.messages = append(s.messages, m)
		}
		close(s.wake)
		s.wake = make(chan struct{})
		s.mu.Unlock()
	}
}

func parse(frames [][]byte) (*Message, error) {
	if len(frames) != 3 {
		return nil, fmt.Errorf("%d frames", len(frames))
	}
	m := &Message{Topic: string(frames[0]), Body: frames[2], At: time.Now()}
	var err error
	if m.Header, err = message.ParseHeader(frames[1]); err != nil {
		return nil, err
	}
	if m.Version, err = message.ParseVersion(m.Header.Version); err != nil {
		return nil, err
	}
	_, m.Kind, _ = message.Control(m.Topic)
	if m.Kind == "" {
		m.Attributes, err = message.ParseAttributes(m.Header.Attributes)
	}
	return m, err
}

// Messages are all that came so far.
func (s *Subscriber) Messages() []*Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[:len(s.messages):len(s.messages)]
}

// Changes are those that are no control messages.
func (s *Subscriber) Changes() []*Message {
	var out []*Message
	for _, m := range s.Messages() {
		if m.Kind == "" {
			out = append(out, m)
		}
	}
	return out
}

// Until waits until f says that the messages so far are enough.
func (s *Subscriber) Until(what string, f func([]*Message) bool) {
	s.t.Helper()
	deadline := time.After(Patience)
	for {
		s.mu.Lock()
		wake, messages := s.wake, s.messages[:len(s.messages):len(s.messages)]
		s.mu.Unlock()
		if f(messages) {
			return
		}
		select {
		case <-wake:
		case <-deadline:
			s.t.Fatalf("%s did not come within %s; %d messages did", what, Patience, len(messages))
		}
	}
}

// Active waits until the publisher has answered the subscription.
func (s *Subscriber) Active() {
	s.t.Helper()
	s.Until("an answer to the subscription", func(all []*Message) bool { return len(all) > 0 })
}

// Resolved waits until some replica says that everything before t was
// published, and returns what came until then.
func (s *Subscriber) Resolved(t time.Time) []*Message {
	s.t.Helper()
	s.Until("the resolved time "+t.String(), func(all []*Message) bool { return resolvedIn(all).After(t) })
	return s.Messages()
}

// resolvedIn is the latest resolved time of a replica at the root.
func resolvedIn(all []*Message) time.Time {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Topic != message.Resolved {
			continue
		}
		var body message.ResolvedBody
		if json.Unmarshal(all[i].Body, &body) != nil || body.Replica == "" {
			return time.Time{}
		}
		t, _ := time.Parse(time.RFC3339Nano, body.Replica)
		return t
	}
	return time.Time{}
}

// Reading waits until some replica reads.
func (s *Subscriber) Reading() {
	s.t.Helper()
	s.Resolved(time.Time{})
}
