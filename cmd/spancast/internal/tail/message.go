package tail

import (
	"fmt"

	"github.com/spancast/spancast/message"
)

// A Message is a received message, taken apart.
type Message struct {
	Topic   string
	Level   string // of a control message
	Kind    string // of a control message; empty for a change
	Header  message.Header
	Version message.Version
	Epoch   string
	Body    []byte
}

// Parse takes the frames of a message apart.
func Parse(frames [][]byte) (*Message, error) {
	if len(frames) != 3 {
		return nil, fmt.Errorf("%d frames, not 3", len(frames))
	}
	m := &Message{Topic: string(frames[0]), Body: frames[2]}
	var err error
	if m.Header, err = message.ParseHeader(frames[1]); err != nil {
		return nil, err
	}
	if m.Version, err = message.ParseVersion(m.Header.Version); err != nil {
		return nil, err
	}
	m.Epoch = string(m.Header.Epoch)
	m.Level, m.Kind, _ = message.Control(m.Topic)
	return m, nil
}
