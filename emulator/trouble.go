package emulator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Trouble is what a Command does to its server over and over.
type Trouble struct {
	RestartEvery time.Duration // 0: never
	RestartFor   time.Duration // connections are refused this long; 0: a restart at once
	StallEvery   time.Duration // 0: never
	StallFor     time.Duration // every connection hangs this long
}

func (t Trouble) validate() error {
	var faults []error
	for _, c := range []struct {
		name         string
		every, lasts time.Duration
		least        time.Duration
	}{{"restart", t.RestartEvery, t.RestartFor, 0}, {"stall", t.StallEvery, t.StallFor, 1}} {
		switch {
		case c.every < 0 || c.lasts < 0:
			faults = append(faults, fmt.Errorf("--%s-every and --%[1]s-for must not be negative", c.name))
		case c.every == 0 && c.lasts > 0:
			faults = append(faults, fmt.Errorf("--%s-for needs --%[1]s-every", c.name))
		case c.every > 0 && (c.lasts < c.least || c.lasts >= c.every):
			faults = append(faults, fmt.Errorf("--%s-for: %s is not between 0 and --%s-every, %s", c.name, c.lasts, c.name, c.every))
		}
	}
	return errors.Join(faults...)
}

// run makes the trouble until the context ends or the server cannot come back.
func (t Trouble) run(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var each sync.WaitGroup
	if t.StallEvery > 0 {
		each.Go(func() { t.stalls(ctx, s) })
	}
	err := error(nil)
	if t.RestartEvery > 0 {
		if err = t.restarts(ctx, s); err != nil {
			cancel()
		}
	}
	each.Wait()
	return err
}

func (t Trouble) stalls(ctx context.Context, s *Server) {
	stalled := s.options.Faults
	stalled.Stall = true
	for wait(ctx, t.StallEvery-t.StallFor) {
		s.SetFaults(stalled)
		wait(ctx, t.StallFor)
		s.SetFaults(s.options.Faults)
	}
}

func (t Trouble) restarts(ctx context.Context, s *Server) error {
	for wait(ctx, t.RestartEvery-t.RestartFor) {
		if err := s.Down(); err != nil {
			return err
		}
		wait(ctx, t.RestartFor)
		if err := s.Up(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// wait reports whether the context lives after a time.
func wait(ctx context.Context, d time.Duration) bool {
	rest(ctx, d)
	return ctx.Err() == nil
}
