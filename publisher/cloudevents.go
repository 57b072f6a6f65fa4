package publisher

import (
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/jsonscan"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/topics"
)

// EventType is the type of every CloudEvent.
const EventType = "spancast.change"

// CloudEvents writes a structured CloudEvent, version 1.0 of the specification,
// whose data is the native body. Its id is the version of the change, its
// subject the table and the key values, escaped as in topics.
type CloudEvents struct {
	head    []byte // up to the value of id
	subject []byte // of the latest event
}

// NewCloudEvents returns the format for a change stream. It is for one
// goroutine.
func NewCloudEvents(info changestream.Info) *CloudEvents {
	source := "//spanner.googleapis.com/" + info.Database + "/changeStreams/" + info.Stream
	head := jsonscan.AppendString([]byte(`{"specversion":"1.0","source":`), source)
	return &CloudEvents{head: append(head, `,"type":"`+EventType+`","datacontenttype":"application/json","id":`...)}
}

// Append implements Body.
func (e *CloudEvents) Append(dst []byte, c *Change) (_ []byte, err error) {
	dst = jsonscan.AppendString(append(dst, e.head...), c.Version)
	dst = append(append(dst, `,"time":"`...), c.Version[:message.TimestampLen]...)
	if e.subject, err = topics.AppendSubject(e.subject[:0], c.Record, c.Mod); err != nil {
		return dst, err
	}
	dst = jsonscan.AppendString(append(dst, `","subject":`...), e.subject)
	if dst, err = (Native{}).Append(append(dst, `,"data":`...), c); err != nil {
		return dst, err
	}
	return append(dst, '}'), nil
}
