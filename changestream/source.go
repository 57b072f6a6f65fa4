package changestream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spancast/spancast/internal/h2rpc"
)

// A source is the change stream as something to query.
type source struct {
	info      Info
	conns     *conns
	schemas   Schemas
	heartbeat time.Duration
	window    time.Duration
	end       time.Time // of what is read; zero: none
	stats     *Stats
	log       *slog.Logger
	clock     atomic.Pointer[storeClock]
}

// now is Spanner's time, as far as it is known: windows are cut by it, and not by
// the clock of this machine.
func (s *source) now() time.Time {
	if c := s.clock.Load(); c != nil {
		return c.now()
	}
	return time.Now()
}

// maxStall is the longest that a query may be silent.
const maxStall = time.Minute

// patience is how long a query may be silent. Spanner sends a heartbeat when
// there is nothing else to send, so silence means that the stream is dead; or
// that Spanner has much to do. Then asking it once more helps nobody, and giving
// up as soon as before would go on for ever: so each silence doubles it.
func (s *source) patience(silences int) time.Duration {
	stall := time.Second + 5*s.heartbeat
	return max(stall, min(maxStall, stall<<min(silences, 10)))
}

var errStalled = errors.New("no record and no heartbeat came for too long")

// run runs a query and hands each of its frames to f, in order; done, which f may
// call, gives the memory of the frame back. It returns nil when the server ended
// the query.
func (s *source) run(ctx context.Context, q query, d *Decoder, f func(done func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := s.patience(q.silences)
	watchdog := time.AfterFunc(patience, func() { cancel(errStalled) })
	defer watchdog.Stop()
	stream, err := s.conns.open(ctx, s.info, q, s.heartbeat)
	if err != nil {
		return s.stalled(ctx, err)
	}
	defer stream.release()
	s.stats.Queries.Add(1)
	var msg h2rpc.Message
	done := msg.Release
	defer done()
	for {
		watchdog.Reset(patience)
		err := stream.Recv(&msg)
		watchdog.Stop() // what follows may wait for room, which is not Spanner's fault
		if err != nil {
			if err = s.ended(ctx, d, err); errors.Is(err, errStalled) {
				stream.doubt()
			}
			return err
		}
		if err := s.frame(&msg, d, done, f); err != nil {
			return err
		}
	}
}

func (s *source) frame(msg *h2rpc.Message, d *Decoder, done func(), f func(done func()) error) error {
	defer done()
	if err := d.Reset(msg.Bytes); err != nil {
		return err
	}
	return f(done)
}

func (s *source) ended(ctx context.Context, d *Decoder, err error) error {
	if errors.Is(err, io.EOF) {
		if d.Incomplete() {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	return s.stalled(ctx, err)
}

// stalled is why a query has failed, if Spanner was silent for too long.
func (s *source) stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		s.stats.Stalls.Add(1)
		return cause
	}
	return err
}

func root(token PartitionToken, start time.Time) Partition {
	return Partition{Token: token, Start: start, Position: start, State: Created}
}

// roots asks which partitions are alive at a time. They are to be read from the
// time that comes with them.
func (s *source) roots(ctx context.Context, at time.Time) ([]Partition, error) {
	var out []Partition
	d := NewDecoder(&s.schemas)
	err := s.run(ctx, query{start: at, end: at, silences: 2}, d, func(func()) error {
		for {
			kind, err := d.Next()
			if err != nil || kind == KindNone {
				return err
			}
			switch kind {
			case KindChildren:
				for _, c := range d.Children().Children {
					out = append(out, root(c.Token, d.Children().StartTimestamp))
				}
			case KindPartitionStart:
				for _, token := range d.Partition().Tokens {
					out = append(out, root(token, d.Partition().Timestamp))
				}
			}
		}
	})
	if err == nil && len(out) == 0 {
		err = errors.New("the change stream named no partitions")
	}
	if err != nil {
		return nil, newError("find the partitions of", "change stream "+s.info.Stream, err)
	}
	return out, nil
}
