package changestream

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

// A Sink takes what one partition delivers. Its methods are called by one
// goroutine.
type Sink interface {
	// Change takes a record, which is valid until Change returns.
	Change(r *DataChangeRecord) error
	// Flush sends on what was taken since the last Flush, with the mark behind
	// it. It waits while there is no room. An error ends the reading.
	Flush(ctx context.Context, m Mark) error
	// MovedIn says that keys came from other partitions of a MUTABLE_KEY_RANGE
	// stream at a time: what those had of them up to then was published, here or
	// by another replica. It is called behind all changes of an earlier time, and
	// before those of a later one.
	MovedIn(at time.Time, sources []PartitionToken)
}

// A reader reads one partition from its position to its end: one bounded query
// after the other.
type reader struct {
	source   *source
	token    PartitionToken
	start    time.Time // of the partition
	position time.Time // everything before it was given to the sink
	progress *Progress
	sink     Sink
	log      *slog.Logger
	// pause waits until the scheduler lets the reader go on behind a partition
	// start record, or behind move-ins.
	pause func(context.Context, Kind, PartitionRecord) error

	seen     seen
	hold     PartitionRecord  // move-ins that were not waited for yet
	children []ChildPartition // named by the query that runs
	end      time.Time        // where they begin
	over     bool             // whether it brought the partition end record
	moved    bool             // whether the query that runs brought anything new
	waits    int              // attempts since something new came
	silences int              // queries that were silent for too long, less those that were not
}

// read reads until the partition has ended and all of it was published; it then
// returns where it ended and the children it named. Errors that trying again
// may mend are retried here, for ever; others are returned.
func (r *reader) read(ctx context.Context) (end time.Time, children []ChildPartition, err error) {
	for {
		if r.source.enough(r.position) {
			return r.position, nil, r.finish(ctx)
		}
		end := r.source.until(r.position)
		err := r.window(ctx, end)
		if ctx.Err() != nil {
			return time.Time{}, nil, context.Cause(ctx)
		}
		if r.moved {
			r.waits = 0
		}
		if errors.Is(err, errStalled) {
			r.silences++
		} else if err == nil {
			r.silences = max(0, r.silences-1)
		}
		switch {
		case r.over, err == nil && len(r.children) > 0:
			return r.end, r.children, r.finish(ctx)
		case err == nil && r.source.now().Before(end.Add(-time.Second)):
			// Ended before its time and named no child: not the end of the
			// partition (Beam #40232, Debezium #172). Read on from here.
			r.source.stats.EarlyEnds.Add(1)
			if r.waits > 0 {
				r.log.Warn("query ended early again, without a child record", "position", r.position)
			}
		case err == nil && end.Equal(r.source.end) && !r.moved:
			if r.lives(ctx, end) {
				r.position = end
				continue
			}
		case err == nil:
			r.waits = 0
			continue
		default:
			if err := r.retry(err); err != nil {
				return time.Time{}, nil, err
			}
		}
		if err := r.wait(ctx); err != nil {
			return time.Time{}, nil, err
		}
	}
}

// window runs one query, from the position to end.
func (r *reader) window(ctx context.Context, end time.Time) error {
	d := NewDecoder(&r.source.schemas)
	r.seen.reopen()
	r.children, r.over, r.moved = nil, false, false
	return r.source.run(ctx, query{token: r.token, start: r.position, end: end, silences: r.silences}, d, func(done func()) error {
		return r.frame(ctx, d, done)
	})
}

// frame gives the records of a frame to the sink. The frame is done with before
// the sink is waited for.
func (r *reader) frame(ctx context.Context, d *Decoder, done func()) error {
	before, records := r.position, 0
	for {
		kind, err := d.Next()
		if err != nil {
			return err
		}
		switch kind {
		case KindNone:
			done()
			if records == 0 && r.position.Equal(before) {
				return nil
			}
			r.moved = true
			r.source.stats.Records.Add(int64(records))
			return inSink(r.sink.Flush(ctx, Mark{Progress: r.progress, Position: r.position, Records: records}))
		case KindData:
			rec := d.Data()
			if r.seen.before(rec) {
				r.source.stats.Duplicates.Add(1)
				continue
			}
			if err := r.await(ctx); err != nil {
				return err
			}
			if err := r.sink.Change(rec); err != nil {
				return sinkError{err}
			}
			r.seen.note(rec)
			r.position = later(r.position, rec.CommitTimestamp)
			records++
		case KindHeartbeat:
			if err := r.await(ctx); err != nil {
				return err
			}
			r.position = later(r.position, d.Heartbeat())
			r.source.stats.Heartbeats.Add(1)
		case KindChildren:
			c := d.Children()
			r.children, r.end = append(r.children, c.Children...), c.StartTimestamp
		case KindPartitionStart, KindPartitionEvent, KindPartitionEnd:
			if err := r.partition(ctx, kind, d.Partition()); err != nil {
				return err
			}
		}
	}
}

// finish sends the end of the partition down the pipe and waits until it has
// come out.
func (r *reader) finish(ctx context.Context) error {
	r.position = later(r.position, r.end)
	if err := r.sink.Flush(ctx, Mark{Progress: r.progress, Position: r.position, End: true}); err != nil {
		return err
	}
	select {
	case <-r.progress.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A sinkError is not the stream's, and no query will mend it.
type sinkError struct{ err error }

func (e sinkError) Error() string { return e.err.Error() }

func inSink(err error) error {
	if err == nil {
		return nil
	}
	return sinkError{err}
}

// retry decides whether to go on after an error: nil if so.
func (r *reader) retry(err error) error {
	e := newError("read", "partition "+r.token.Short()+" of change stream "+r.source.info.Stream, err)
	var foreign sinkError
	switch {
	case errors.As(err, &foreign):
		return foreign.err
	case e.Cause == OutsideLife && !e.end.IsZero() && r.position.After(e.end):
		r.position = e.end // one step too far: the child records are at the end itself
	case e.Cause != Transient && e.Cause != Unreachable:
		return e
	}
	r.source.conns.forgetSessionIfGone(err)
	r.source.stats.Retries.Add(1)
	r.log.Log(context.Background(), r.level(), "query failed, trying again", "error", e, "position", r.position, "attempt", r.waits+1)
	return nil
}

// level is low for what happens every day, and rises when it lasts.
func (r *reader) level() slog.Level {
	if r.waits < 3 {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

const (
	firstWait = 100 * time.Millisecond
	maxWait   = 10 * time.Second
)

// wait lets time pass before the next attempt: doubling, with jitter.
func (r *reader) wait(ctx context.Context) error {
	d := min(maxWait, firstWait<<min(r.waits, 10))
	r.waits++
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
