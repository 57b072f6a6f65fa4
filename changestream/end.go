package changestream

import (
	"context"
	"time"
)

// enough tells whether a partition that was read up to a position was read as
// far as the stream is to be read.
func (s *source) enough(position time.Time) bool {
	return !s.end.IsZero() && !position.Before(s.end)
}

// until is where a query that begins at a position ends.
func (s *source) until(position time.Time) time.Time {
	end := later(s.now(), position).Add(s.window)
	if !s.end.IsZero() && end.After(s.end) {
		return s.end
	}
	return end
}

// lives asks whether the partition still lives where the stream is to end. It is
// asked when a query up to there brought nothing that says so: Spanner may end a
// query without a child record although the partition has ended (Beam #40232),
// and then the rest is to be looked for in its children. A partition that has
// ended before cannot be read there.
func (r *reader) lives(ctx context.Context, end time.Time) bool {
	d := NewDecoder(&r.source.schemas)
	err := r.source.run(ctx, query{token: r.token, start: end, end: end, silences: r.silences}, d, func(func()) error {
		for {
			kind, err := d.Next()
			if err != nil || kind == KindNone {
				return err
			}
		}
	})
	if err != nil {
		r.source.stats.EarlyEnds.Add(1)
		r.log.Log(ctx, r.level(), "cannot tell whether the partition lives at the end of what is read", "error", err, "position", r.position)
	}
	return err == nil
}

// complete tells whether everything was read up to the end that was set.
func (c *scheduler) complete() bool {
	return !c.opt.End.IsZero() && c.graph.Finished()
}

// Finished tells whether there are partitions, and all of them are finished.
func (g *Graph) Finished() bool {
	for _, n := range g.nodes {
		if n.State != Finished {
			return false
		}
	}
	return len(g.nodes) > 0
}
