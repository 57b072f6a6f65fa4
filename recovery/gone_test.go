package recovery

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
)

// TestGone_NamesATimeThatCanBeHad: what retention drops moves on, and streams are
// read from whole microseconds.
func TestGone_NamesATimeThatCanBeHad(t *testing.T) {
	kept := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for said, want := range map[string]time.Time{
		"": kept.Add(goneMargin),
		" the earliest timestamp is 2026-11-20T09:00:00.000400Z":    kept.Add(goneMargin),
		" the earliest timestamp is 2026-11-20T10:00:00.993644Z":    kept.Add(time.Hour + 993644*time.Microsecond),
		" the earliest timestamp is 2026-11-20T10:00:00.993644086Z": kept.Add(time.Hour + 993645*time.Microsecond),
	} {
		err := changestream.Classify("find", "partitions", status.Error(codes.OutOfRange, "Specified start_timestamp is too far in the past: 2026-11-19T09:00:00Z."+said))
		var g *goneError
		if !errors.As(gone(err, kept.Add(-time.Hour), kept), &g) || !g.oldest.Equal(want) {
			t.Errorf("%q: %v, want %s", said, g, want)
		}
	}
}
