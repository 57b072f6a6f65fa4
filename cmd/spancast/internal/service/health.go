package service

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// beats are when the loops of the service last came round.
type beats struct {
	opened    time.Time
	publisher pulse
}

// A pulse is when a loop last came round.
type pulse struct{ at atomic.Int64 } // Unix nanoseconds

func (p *pulse) beat() { p.at.Store(time.Now().UnixNano()) }

// silence is how long a loop has not come round, since it was opened at most.
func (b *beats) silence(last time.Time) time.Duration {
	if last.Before(b.opened) {
		last = b.opened
	}
	return time.Since(last)
}

const (
	// loopPatience is how long a loop may take for one round, besides what its
	// settings allow it.
	loopPatience = 60 * time.Second
	// tablesPatience is how long the metadata tables may be out of reach before
	// the replica is not ready: if all replicas stopped being ready at the first
	// error, subscribers would find none of them.
	tablesPatience = 30 * time.Second
)

// dead says which loop does not come round any more. Spanner does not matter
// here: a restart would not mend it.
func (s *Service) dead() []string {
	if s.leaving.Load() {
		return nil
	}
	var why []string
	limit := loopPatience + 3*s.cfg.ResolvedInterval + s.cfg.BlockTimeout
	if d := s.beats.silence(time.Unix(0, s.beats.publisher.at.Load())); d > limit {
		why = append(why, fmt.Sprintf("the publisher's loop has not come round for %s", d.Round(time.Second)))
	}
	limit = loopPatience + 3*s.cfg.CheckpointInterval + s.cfg.Lease
	if d := s.beats.silence(s.kept.Asked()); d > limit {
		why = append(why, fmt.Sprintf("the scheduler's loop has not come round for %s", d.Round(time.Second)))
	}
	return why
}

// starting says what has not happened yet.
func (s *Service) starting() []string {
	if _, at := s.kept.Latest(); at.IsZero() {
		return []string{"the partitions are not known yet"}
	}
	return nil
}

// reasons says why the service is not ready, if it is not. Lag is no reason, and
// neither is having no partitions.
func (s *Service) reasons() []string {
	if s.leaving.Load() {
		return []string{"the service is ending"}
	}
	why := append([]string{}, s.stream.Trouble()...)
	if _, at := s.kept.Latest(); !at.IsZero() && time.Since(at) > tablesPatience {
		why = append(why, fmt.Sprintf("the metadata tables could not be read for %s", time.Since(at).Round(time.Second)))
	}
	return why
}

// reportInterval is how often the service says in its log how it is doing.
const reportInterval = time.Minute

func (s *Service) report(ctx context.Context) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			own, fleet := s.stream.Resolved()
			p, r := s.pub.Stats(), s.stream.Stats()
			s.log.Info("status", "partitions", s.stream.Owned(), "resolved", own, "fleet_resolved", fleet, "messages", p.Messages.Load(),
				"subscriptions", p.Subscriptions.Load(), "slow", p.Slow.Load(), "buffered_bytes", p.Buffered.Load(),
				"retries", r.Retries.Load(), "early_ends", r.EarlyEnds.Load(), "move_ins", r.MoveIns.Load(), "gaps", r.Gaps.Load())
		}
	}
}
