package emulator

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/engine"
)

// loadInterval is how often the churn by load looks at the rates.
const loadInterval = time.Second

// newToken makes a partition token: random, opaque and as long as real ones.
func newToken() string {
	b := make([]byte, 96)
	rand.Read(b) // it never fails, as its documentation says
	return base64.RawURLEncoding.EncodeToString(b)
}

// churn changes partitions by time and by load until the context ends.
func (s *Server) churn(ctx context.Context) {
	every := time.Duration(0)
	if s.options.ChurnLoad > 0 {
		every = loadInterval
	}
	if s.options.ChurnEvery > 0 {
		every = min(max(s.options.ChurnEvery/8, 5*time.Millisecond), loadInterval)
	}
	if every == 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	stepped, balanced := map[*changes.Stream]time.Time{}, map[*changes.Stream]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, alive := time.Now(), map[*changes.Stream]bool{}
		s.api.EachStream(func(db *engine.Database, stream *changes.Stream) {
			alive[stream] = true
			if s.options.ChurnEvery > 0 {
				s.timed(db, stream, stepped, now)
			}
			if s.options.ChurnLoad > 0 {
				s.balance(db, stream, balanced, now)
			}
		})
		forget(stepped, alive)
		forget(balanced, alive)
	}
}

// timed makes a beat of the timed churn when it is due.
func (s *Server) timed(db *engine.Database, stream *changes.Stream, last map[*changes.Stream]time.Time, now time.Time) {
	if last[stream].IsZero() {
		last[stream] = now
	}
	if now.Sub(last[stream]) < s.options.ChurnEvery {
		return
	}
	last[stream] = now
	name := stream.Definition().Name
	if err := db.Churn(name, Step, ""); err != nil && !errors.Is(err, ErrChurn) {
		s.options.Log.Debug("churn", "database", db.Name, "stream", name, "error", err)
	}
}

func (s *Server) balance(db *engine.Database, stream *changes.Stream, last map[*changes.Stream]time.Time, now time.Time) {
	if last[stream].IsZero() {
		last[stream] = now
	}
	if elapsed := now.Sub(last[stream]); elapsed >= loadInterval {
		last[stream] = now
		db.Balance(stream, s.options.ChurnLoad, elapsed)
	}
}

func forget(times map[*changes.Stream]time.Time, alive map[*changes.Stream]bool) {
	for stream := range times {
		if !alive[stream] {
			delete(times, stream)
		}
	}
}
