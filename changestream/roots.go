package changestream

import (
	"context"
	"time"
)

// Roots asks which partitions were alive at a time, as an initial query does.
// They are to be read from the time that comes with them. It is for a stream
// that is not run.
func (s *Stream) Roots(ctx context.Context, at time.Time) ([]Partition, error) {
	defer s.src.conns.close()
	return s.src.roots(ctx, at.Truncate(time.Microsecond))
}
