package recovery

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/topics"
)

// A sink makes the messages of one partition for one answer, in the goroutine of
// its reader.
type sink struct {
	opt     *Options
	feed    *feed
	queue   queue
	wanted  wanted
	router  *topics.Router
	planner *topics.Planner
	body    publisher.Body
	load    *load
	change  publisher.Change
	schema  *changestream.Schema // of the latest record
	ignored bool
}

// wanted is what a replay asks for. It implements publisher.Wanted.
type wanted struct {
	topics []string
	from   time.Time
	after  []byte // version, or empty
	to     time.Time
}

// covers tells whether a commit timestamp is in the replay.
func (w *wanted) covers(t time.Time) bool {
	return !t.Before(w.from) && (w.to.IsZero() || t.Before(w.to))
}

// Version implements publisher.Wanted.
func (w *wanted) Version(v []byte) bool {
	if len(w.after) == 0 || bytes.Compare(v[:message.TimestampLen], w.after[:message.TimestampLen]) > 0 {
		return true
	}
	return message.CompareVersions(v, w.after) > 0
}

// Topic implements publisher.Wanted.
func (w *wanted) Topic(topic string) bool {
	for _, prefix := range w.topics {
		if strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return false
}

// Change implements changestream.Sink.
func (s *sink) Change(rec *changestream.DataChangeRecord) error {
	if s.schema != rec.Schema {
		s.schema, s.ignored = rec.Schema, s.opt.Ignore(rec.Schema.Table)
	}
	if s.ignored || !s.wanted.covers(rec.CommitTimestamp) {
		return nil
	}
	if s.load == nil {
		s.load = s.feed.load()
		if router := s.opt.Router(); router != s.router {
			s.router, s.planner = router, router.Planner()
		}
	}
	s.change.Record = rec
	return s.load.Add(&s.change, s.planner, s.body, &s.wanted)
}

// MovedIn implements changestream.Sink. The order over partitions is the feed's,
// and there is one reader.
func (s *sink) MovedIn(time.Time, []changestream.PartitionToken) {}

// Flush implements changestream.Sink. It waits for room in the feed.
func (s *sink) Flush(ctx context.Context, m changestream.Mark) error {
	l := s.load
	if l != nil && l.Len() == 0 {
		l = nil // none of it was wanted
	}
	if err := s.feed.push(ctx, &s.queue, l, m); err != nil {
		return err
	}
	if l != nil {
		s.load = nil
	}
	return nil
}
