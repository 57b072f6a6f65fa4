package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// A Handler is called for every change, once, in commit order per key, by one
// goroutine. The change is valid until it returns. An error ends Run, and the
// change is handled again after the next start.
type Handler func(ctx context.Context, c *Change) error

// Errors that end Run.
var (
	// ErrUncounted is for topics below the levels that the service counts, such
	// as that of one key: what is lost of them cannot be noticed. Follow can.
	ErrUncounted = errors.New("the level is made of row data and has no counter, so that losses cannot be noticed; use Follow, or a level above and look at the topics")
	// ErrRefused is for requests that the recovery endpoint will never answer.
	ErrRefused = errors.New("the recovery endpoint refuses")
	// ErrUnreachable is for a follower whom nobody answers for RecoveryTimeout.
	ErrUnreachable = errors.New("no recovery endpoint answers")
)

// A Subscriber receives changes; see the package comment.
type Subscriber struct {
	opt Options

	mu    sync.Mutex
	stats Stats
}

// New checks the options. Run connects.
func New(o Options) (*Subscriber, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("subscriber options: %w", err)
	}
	if o.Enroll != nil && o.SecretKey == "" {
		var err error
		if _, o.SecretKey, err = zmq.NewCurveKeypair(); err != nil {
			return nil, fmt.Errorf("make a CURVE key: %w", err)
		}
	}
	return &Subscriber{opt: o}, nil
}

// Stats may be called at any time by any goroutine. What it returns is at most a
// tenth of a second old.
func (s *Subscriber) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Run hands changes to the handler until ctx is done, when it returns nil, or
// until it cannot go on. Either way it saves the position at last. It is called
// once.
func (s *Subscriber) Run(ctx context.Context, h Handler) error {
	cfg := s.opt.config()
	from, err := s.start(ctx, &cfg)
	if err != nil {
		return err
	}
	r := &run{Subscriber: s, handler: h, epoch: s.opt.Clock()}
	k, leave, err := r.join(ctx, &cfg)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	if err != nil {
		return err
	}
	defer leave()
	r.m = newMachine(cfg, from, s.opt.Log)
	if r.z, err = openSockets(&s.opt, &cfg, k); err != nil {
		return err
	}
	defer r.z.close()
	err = r.loop(ctx)
	s.publish(r.m)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return errors.Join(err, r.save(context.WithoutCancel(ctx)))
}

// start is the position to go on from.
func (s *Subscriber) start(ctx context.Context, cfg *config) (Position, error) {
	if s.opt.Cursor != nil {
		if p, err := s.opt.Cursor.Load(ctx); err != nil || !p.IsZero() {
			cfg.resumed = true
			return p, err
		}
	}
	return Position{Complete: s.opt.Since}, nil
}

func (s *Subscriber) publish(m *machine) {
	state := m.state()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = state
}

// A run is one Run: it carries messages from the sockets to the machine, and
// from there to the handler.
type run struct {
	*Subscriber
	handler  Handler
	m        *machine
	z        *sockets
	epoch    time.Time // of instants
	ticked   instant
	saved    instant
	position string // that was saved, to save it once

	member   *membership // nil without an enrolment
	enrolled places      // as they were used last
}

const (
	// tickEvery is how often the machine looks what is due.
	tickEvery = 50 * time.Millisecond
	// burst is how many messages of a socket are read before the other is.
	burst = 256
)

func (r *run) now() instant { return r.opt.Clock().Sub(r.epoch) }

func (r *run) loop(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := r.now()
		idle, err := r.read(ctx, now)
		if err != nil {
			return err
		}
		if now-r.ticked >= tickEvery || idle {
			if err := r.tick(ctx, now); err != nil {
				return err
			}
		}
		if idle {
			if err := r.z.wait(tickEvery); err != nil {
				return err
			}
		}
	}
}

// read takes what has come, a burst of each socket. It is idle when that was
// nothing.
func (r *run) read(ctx context.Context, now instant) (idle bool, err error) {
	idle = true
	for range burst {
		f, err := r.z.receive(r.z.sub)
		if err != nil {
			return false, err
		}
		if f == nil {
			break
		}
		idle = false
		if len(f) != 3 {
			r.m.malformed(string(f[0]))
			continue
		}
		r.m.live(f[0], f[1], f[2], now)
		if err := r.settle(ctx, now); err != nil {
			return false, err
		}
	}
	for range burst {
		if r.z.dealer == nil {
			break
		}
		f, err := r.z.receive(r.z.dealer)
		if err != nil {
			return false, err
		}
		if f == nil {
			break
		}
		idle = false
		if len(f) != 4 {
			r.m.malformed("of a recovery endpoint")
			continue
		}
		r.m.answer(f[0], f[1], f[2], f[3], now)
		if err := r.settle(ctx, now); err != nil {
			return false, err
		}
	}
	return idle, nil
}

// tick lets time go on.
func (r *run) tick(ctx context.Context, now instant) error {
	r.ticked = now
	if err := r.follow(); err != nil {
		return err
	}
	r.m.tick(now)
	if err := r.settle(ctx, now); err != nil {
		return err
	}
	r.publish(r.m)
	if r.opt.Cursor != nil && now-r.saved >= r.opt.CursorInterval {
		r.saved = now
		if err := r.save(ctx); err != nil {
			r.opt.Log.Warn("cannot save the position, trying again", "error", err)
		}
	}
	return nil
}

// settle hands on what is ready, and does what is to be done.
func (r *run) settle(ctx context.Context, now instant) error {
	for c := r.m.next(now); c != nil; c = r.m.next(now) {
		if err := r.handler(ctx, c); err != nil {
			return fmt.Errorf("handle %s: %w", c.Header.Version, err)
		}
		r.m.done()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if r.m.idle() {
		return nil
	}
	return r.act(r.m.take())
}

// act does what the machine wants to be done.
func (r *run) act(e effects) error {
	for _, endpoint := range e.connect {
		r.opt.Log.Debug("connecting", "endpoint", endpoint)
		if err := r.z.connect(endpoint); err != nil {
			r.opt.Log.Warn("cannot connect to a publisher that is listed", "error", err)
		}
	}
	for _, endpoint := range e.disconnect {
		r.opt.Log.Debug("disconnecting", "endpoint", endpoint)
		r.z.disconnect(endpoint)
	}
	if e.ping {
		if err := r.z.ping(); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	for i := range e.requests {
		if err := r.z.send(&e.requests[i]); err != nil { // it will be made again, elsewhere
			r.opt.Log.Warn("cannot ask a recovery endpoint", "error", err)
		}
	}
	for _, g := range e.gaps {
		r.opt.Log.Error("changes are lost for good", "gap", g.String())
		if err := r.opt.OnGap(g); err != nil {
			return fmt.Errorf("a gap: %w", err)
		}
	}
	if e.lived {
		r.publish(r.m)
		r.opt.OnLive()
	}
	return e.err
}

// save saves the position, if there is one that was not saved.
func (r *run) save(ctx context.Context) error {
	p, ok := r.m.position()
	if r.opt.Cursor == nil || !ok {
		return nil
	}
	text, err := p.MarshalText()
	if err != nil || string(text) == r.position {
		return err
	}
	if err := r.opt.Cursor.Save(ctx, p); err != nil {
		return err
	}
	r.position = string(text)
	return nil
}
