package publisher

import (
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/topics"
)

// Messages are the messages of changes as a publisher sends them, complete but
// for epoch and counters, for others to send: the recovery endpoint. All their
// bytes are in one piece of memory.
type Messages struct{ batch batch }

// Wanted says which of a record's changes become messages. A change that has
// several topics becomes one message, with the first topic that is wanted.
type Wanted interface {
	Version(version []byte) bool
	Topic(topic string) bool
}

// A Message is one of Messages, valid until they are reset.
type Message struct {
	Version, Attributes, Body []byte

	Schema      *changestream.Schema
	SchemaLevel string // where the schema is announced

	topic  []byte
	static string
}

// AppendTopic appends the first frame.
func (m *Message) AppendTopic(dst []byte) []byte { return append(append(dst, m.static...), m.topic...) }

// Add appends the messages of c.Record, whose mods it sets in c one after the
// other.
func (m *Messages) Add(c *Change, planner *topics.Planner, body Body, wanted Wanted) error {
	return m.batch.add(c, planner, body, wanted)
}

// Len is the number of messages.
func (m *Messages) Len() int { return len(m.batch.entries) }

// Size is the number of bytes that the messages hold.
func (m *Messages) Size() int { return len(m.batch.data) }

// Version is the version of message i.
func (m *Messages) Version(i int) []byte { return m.batch.at(m.batch.entries[i].version) }

// At returns message i.
func (m *Messages) At(i int) Message {
	e := &m.batch.entries[i]
	part := &m.batch.records[e.record]
	out := Message{Version: m.batch.at(e.version), Attributes: m.batch.at(part.attributes), Body: m.batch.at(e.body), Schema: part.schema, SchemaLevel: e.route.SchemaLevel}
	if out.topic = m.batch.at(e.topic); len(out.topic) == 0 {
		out.static, _ = e.route.Static()
	}
	return out
}

// Reset empties the messages and keeps their memory, if it is not too much.
func (m *Messages) Reset() {
	m.batch.reset()
	if cap(m.batch.data) > maxKept {
		m.batch.data = nil
	}
}
