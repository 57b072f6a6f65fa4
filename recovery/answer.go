package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
)

// A worker fills the feed of an answer, and returns the message that ends it.
type worker interface {
	run(ctx context.Context) (end *control, err error)
}

// An answer is a request that was accepted, from then on until its end was sent.
// It is the owner's, but for its feed.
type answer struct {
	client string // routing id
	party  string // whose it is: an identity, or a client when nobody is known by one
	link   access.Link
	id     string
	open   bool // a replay without end
	worker worker
	feed   *feed

	credit  message.Credit
	count   uint64 // changes that were sent
	taken   []item // from the feed, and not sent yet
	done    int    // of taken, sent
	schemas map[schemaAt]struct{}
	final   *control  // nothing but this is to be sent any more
	stalled time.Time // since when something waits for credit or for room in the socket
	full    bool      // whether it is room

	cancel   context.CancelFunc // of the worker
	finished chan struct{}      // closed when the worker has returned
	live     atomic.Bool        // an open replay has caught up
	said     time.Time          // when it was told last that it waits

	asked   Asked
	reached []byte // commit timestamp up to which it was sent
	reason  string // why it ends
}

// schemaAt is a schema that was announced at a level.
type schemaAt struct {
	level  string
	schema *changestream.Schema
}

// maxSchemas bounds what an answer remembers of what it announced.
const maxSchemas = 4096

// begin starts the worker.
func (a *answer) begin(ctx context.Context, wake func()) {
	ctx, a.cancel = context.WithCancel(ctx)
	a.finished = make(chan struct{})
	go func() {
		defer wake()
		defer close(a.finished)
		end, err := a.worker.run(ctx)
		if err != nil {
			end = failure(err)
		}
		if end != nil {
			end.at, end.last = time.Now(), true
			a.feed.control(end)
		}
	}()
}

// ended tells whether the worker has returned.
func (a *answer) ended() bool {
	select {
	case <-a.finished:
		return true
	default:
		return false
	}
}

// stop drops everything but the message that ends the answer.
func (a *answer) stop(final *control) {
	a.final = final
	if a.reason == "" {
		a.reason = reasonOf(final)
	}
	a.taken, a.done = nil, 0
	a.feed.close()
	if a.cancel != nil {
		a.cancel()
	}
}

// A requestError refuses a request, or ends its answer.
type requestError struct{ code, text string }

func (e *requestError) Error() string { return e.text }

func badRequest(text string) error { return &requestError{message.BadRequest, text} }

// failure is the message that ends an answer that cannot be completed.
func failure(err error) *control {
	var gone *goneError
	var request *requestError
	switch {
	case errors.As(err, &gone):
		return &control{topic: message.Gone, at: time.Now(), last: true,
			body: message.GoneBody{From: message.FormatTime(gone.from), Oldest: message.FormatTime(gone.oldest)}}
	case errors.As(err, &request):
		return refusal(request.code, request.text)
	}
	return refusal(message.Interrupted, err.Error())
}

func refusal(code, text string) *control {
	return &control{topic: message.Failed, at: time.Now(), last: true, body: message.ErrorBody{Code: code, Message: text}}
}

// frames are the frames of one message but for the client's id, in memory that
// is used again.
type frames struct {
	epoch             []byte
	id, topic, header []byte
	body              []byte
	count             [1]uint64
}

// of makes the frames of an answer's next item.
func (f *frames) of(a *answer, i item) error {
	f.id = append(f.id[:0], a.id...)
	if i.control != nil {
		return f.ofControl(a.count, i.control)
	}
	m := i.load.At(i.index)
	f.topic = m.AppendTopic(f.topic[:0])
	f.count[0] = a.count + 1
	f.header = message.AppendHeader(f.header[:0], m.Version, f.epoch, f.count[:], m.Attributes)
	f.body = m.Body
	return nil
}

func (f *frames) ofControl(count uint64, c *control) (err error) {
	f.topic = append(f.topic[:0], c.topic...)
	f.count[0] = count
	f.header = message.AppendHeader(f.header[:0], []byte(message.ControlVersion(c.at)), f.epoch, f.count[:], []byte("{}"))
	if end, ok := c.body.(message.EndBody); ok {
		end.Changes = count
		c.body = end
	}
	if f.body, err = json.Marshal(c.body); err != nil {
		return fmt.Errorf("write a %s message: %w", c.topic, err)
	}
	return nil
}

// size is what a message costs of the credit.
func (f *frames) size() int64 { return int64(len(f.id) + len(f.topic) + len(f.header) + len(f.body)) }

// isNew tells whether a schema is yet to be announced at a level, and takes it
// for announced.
func (a *answer) isNew(level string, schema *changestream.Schema) bool {
	this := schemaAt{level, schema}
	if _, known := a.schemas[this]; known {
		return false
	}
	if a.schemas == nil || len(a.schemas) >= maxSchemas {
		a.schemas = make(map[schemaAt]struct{})
	}
	a.schemas[this] = struct{}{}
	return true
}
