package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
)

const (
	// tickEvery is how often a worker looks whether something has become ready
	// of which nobody told, and the scheduler of its stream at its partitions.
	tickEvery = 10 * time.Millisecond
	// sayEvery is how often an answer says how far it is.
	sayEvery = time.Second
	// caughtUp is how long the last catching up may have taken: then the replay
	// passes on what comes from there.
	caughtUp = 2 * time.Second
	// troubleTime is how long something may stand in the way of reading.
	troubleTime = 30 * time.Second
	// lease is long enough for nobody to see its end: the store of a replay has
	// no other replica.
	lease = 24 * time.Hour
)

// A replay is the work on an answer to a ReplayRequest.
type replay struct {
	opt    *Options
	feed   *feed
	span   span
	topics []string
	clock  clock
	live   func() // called when it has caught up
}

// run works until everything is in the feed, and returns what ends the answer.
func (r *replay) run(ctx context.Context) (end *control, err error) {
	if r.clock, err = look(ctx, r.opt.Client); err != nil {
		return nil, err
	}
	if r.span.fromNow {
		r.span.from = after(r.clock.read)
	}
	if r.span.from.After(r.clock.read.Add(ahead)) {
		return nil, badRequest(fmt.Sprintf("from is in the future; it is %s", message.FormatTime(r.clock.read)))
	}
	to := r.span.to
	if r.span.now {
		to = after(r.clock.read)
	}
	begin := message.BeginBody{BodyFormat: r.opt.BodyFormat, From: message.FormatTime(r.span.from)}
	if !r.span.open {
		begin.To = message.FormatTime(to)
	}
	r.feed.say(message.Begin, begin)
	if r.span.open {
		return nil, r.follow(ctx)
	}
	if err := r.sorted(ctx, r.span.from, to); err != nil {
		return nil, err
	}
	return &control{topic: message.End, body: message.EndBody{Resolved: message.FormatTime(to)}}, nil
}

// follow catches up, as often as that takes long, and then passes on what comes.
func (r *replay) follow(ctx context.Context) error {
	from, to := r.span.from, after(r.clock.read)
	for {
		began := time.Now()
		if err := r.sorted(ctx, from, to); err != nil {
			return err
		}
		if to.After(from) {
			from = to
		}
		if time.Since(began) < caughtUp {
			break
		}
		c, err := look(ctx, r.opt.Client)
		if err != nil {
			return err
		}
		r.clock, to = c, after(c.read)
	}
	r.feed.say(message.Live, message.ReplayBody{Resolved: message.FormatTime(from)})
	r.live()
	return r.read(ctx, from, time.Time{}, false)
}

// sorted replays a part of the past in the order of versions.
func (r *replay) sorted(ctx context.Context, from, to time.Time) error {
	if !from.Before(to) {
		return nil
	}
	if err := r.read(ctx, from, to, true); err != nil {
		return err
	}
	r.feed.flush()
	return nil
}

// read reads the stream from one time to another, for ever if that is zero.
func (r *replay) read(ctx context.Context, from, to time.Time, sorting bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := changestream.New(r.options(from, to, func(g changestream.Gap) { cancel(&goneError{from: g.From, oldest: g.To}) }))
	if err != nil {
		return err
	}
	r.feed.pass(sorting, func() time.Time { _, fleet := stream.Resolved(); return fleet })
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	said, well := time.Now(), time.Now()
	for {
		select {
		case err := <-ended:
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return gone(err, from, r.clock.now().Add(-r.opt.Info.Retention))
		case now := <-tick.C:
			r.feed.tick()
			if now.Sub(said) >= sayEvery {
				said = now
				r.feed.progress()
			}
			if trouble := stream.Trouble(); len(trouble) == 0 {
				well = now
			} else if now.Sub(well) > troubleTime {
				cancel(errors.New(strings.Join(trouble, "; ")))
			}
		}
	}
}

// options are those of a stream of its own.
func (r *replay) options(from, to time.Time, onGap func(changestream.Gap)) changestream.Options {
	w := wanted{topics: r.topics, from: r.span.from, after: r.span.after, to: to}
	if to.IsZero() || from.After(w.from) {
		w.from = from
	}
	end := to
	if !to.Equal(to.Truncate(time.Microsecond)) {
		end = after(to)
	}
	return changestream.Options{
		Info: r.opt.Info, Dial: r.opt.Dial, Role: r.opt.Role, Gate: r.opt.Gate,
		Replica: changestream.Replica{ID: "replay"}, Store: checkpoint.NewMemory(r.clock.now),
		NewSink: func(p changestream.Partition) changestream.Sink {
			return &sink{opt: r.opt, feed: r.feed, wanted: w, body: r.opt.NewBody(), change: publisher.Change{Partition: p.Token}}
		},
		Drained: func(context.Context) error { return nil }, OnGap: onGap, OnGapPolicy: changestream.GapStop,
		Start: func(time.Time) time.Time { return from }, End: end, Keep: time.Nanosecond,
		QueryWindow: r.opt.QueryWindow, Heartbeat: r.opt.Heartbeat, CheckpointInterval: 2 * tickEvery, Lease: lease, DrainTimeout: time.Second,
		Log: r.opt.Log.With("for", "recovery"), // beside the one that publishes
	}
}

// A goneError says that the stream does not keep what is asked for.
type goneError struct{ from, oldest time.Time }

func (e *goneError) Error() string {
	return fmt.Sprintf("what came after %s is gone; the stream keeps what came after %s", message.FormatTime(e.from), message.FormatTime(e.oldest))
}

// goneMargin is how far after the oldest time that is kept a client is told to
// begin: that moves on until the client has asked again.
const goneMargin = 5 * time.Second

// gone makes a goneError of an error that says so, with a time from which reading
// does not fail in the same way. Kept is where retention ends; Spanner may say
// something later, when the stream is younger, and that does not move.
func gone(err error, from, kept time.Time) error {
	var e *changestream.Error
	if !errors.As(err, &e) || e.Cause != changestream.PositionTooOld {
		return err
	}
	oldest := e.Oldest()
	switch {
	case oldest.Before(kept.Add(time.Minute)):
		oldest = kept.Add(goneMargin)
	case !oldest.Equal(oldest.Truncate(time.Microsecond)): // of Google's emulator; reading begins at microseconds
		oldest = after(oldest)
	}
	return &goneError{from: from, oldest: oldest}
}
