package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/message"
)

// A Recovery is a client of a recovery endpoint with a plain DEALER socket. It
// is for one goroutine.
type Recovery struct {
	t      testing.TB
	socket *zmq.Socket
	id     int
}

// Plenty is more credit than any test needs.
var Plenty = message.Credit{Messages: 1 << 40, Bytes: 1 << 40}

// Recover connects to a recovery endpoint, until the test ends.
func Recover(t testing.TB, endpoint string) *Recovery {
	t.Helper()
	r := &Recovery{t: t, socket: Socket(t, zmq.DEALER)}
	check(t, errors.Join(r.socket.SetRcvhwm(0), r.socket.SetRcvtimeo(Patience), r.socket.Connect(endpoint)))
	return r
}

// ID returns a new id for a request.
func (r *Recovery) ID() string {
	r.id++
	return fmt.Sprint(r.id)
}

// Send sends a request.
func (r *Recovery) Send(command string, request any) {
	r.t.Helper()
	text, err := json.Marshal(request)
	check(r.t, err)
	_, err = r.socket.SendMessage(command, text)
	check(r.t, err)
}

// Next returns the next message of an answer, and the id of its request.
func (r *Recovery) Next() (id string, m *Message) {
	r.t.Helper()
	frames, err := r.socket.RecvMessageBytes(0)
	if err != nil {
		r.t.Fatalf("no answer within %s: %v", Patience, err)
	}
	if len(frames) != 4 {
		r.t.Fatalf("%d frames: %q", len(frames), frames)
	}
	m, err = parse(frames[1:])
	check(r.t, err)
	return string(frames[0]), m
}

// Replay asks for changes from a time on up to now, and returns the answer.
func (r *Recovery) Replay(from time.Time, topics ...string) []*Message {
	r.t.Helper()
	id := r.ID()
	r.Send(message.CommandReplay, message.ReplayRequest{ID: id, Topics: topics, From: message.FormatTime(from), To: message.Now, Credit: Plenty})
	return r.Answer(id)
}

// Answer collects an answer up to its end.
func (r *Recovery) Answer(id string) (all []*Message) {
	r.t.Helper()
	for {
		of, m := r.Next()
		if of != id {
			r.t.Fatalf("an answer to %q, not to %q", of, id)
		}
		all = append(all, m)
		switch m.Kind {
		case message.Failed, message.Gone:
			r.t.Fatalf("%s %s", m.Kind, m.Body)
		case message.End:
			return all
		}
	}
}

// ChangesOf are those that are no control messages.
func ChangesOf(all []*Message) (out []*Message) {
	for _, m := range all {
		if m.Kind == "" {
			out = append(out, m)
		}
	}
	return out
}
