package recovery

import (
	"context"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
)

// A clock is Spanner's, as far as it is known from one look at it.
type clock struct {
	read time.Time // Spanner's
	at   time.Time // local, when that had been read
}

// look asks Spanner for the time: the timestamp of a strong read. Every commit
// that was acknowledged before is not later than it.
func look(ctx context.Context, client *spanner.Client) (clock, error) {
	tx := client.Single()
	it := tx.Query(ctx, spanner.NewStatement("SELECT 1"))
	err := it.Do(func(*spanner.Row) error { return nil })
	if err != nil {
		return clock{}, changestream.Classify("ask for the time of", "database "+client.DatabaseName(), err)
	}
	read, err := tx.Timestamp()
	return clock{read: read, at: time.Now()}, err
}

// now is never ahead of Spanner's clock.
func (c clock) now() time.Time { return c.read.Add(time.Since(c.at)) }

// after is the first commit timestamp after t.
func after(t time.Time) time.Time { return t.Truncate(time.Microsecond).Add(time.Microsecond) }
