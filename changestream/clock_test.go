package changestream

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestClock_IsWhatItSaves: in any order of times and of texts, a Clock writes and
// reads what the functions do that it spares.
func TestClock_IsWhatItSaves(t *testing.T) {
	base := time.Date(2026, 11, 20, 23, 59, 58, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		for range rapid.IntRange(1, 20).Draw(t, "times") {
			at := base.Add(time.Duration(rapid.Int64Range(-3e9, 3e9).Draw(t, "nanos")))
			if rapid.Bool().Draw(t, "east") {
				at = at.In(time.FixedZone("", 3600))
			}
			if got, want := string(c.Append([]byte("x"), at)), string(AppendTimestamp([]byte("x"), at)); got != want {
				t.Fatalf("%s, not %s", got, want)
			}
			text := rapid.SampledFrom([]string{time.RFC3339Nano, "2006-01-02T15:04:05.000000Z07:00", "2006-01-02T15:04:05.Z", "2006-01-02T15:04:60.5Z", "2006-01-02T15:04:05.1x2Z", "2006-01-02T15:04:05.1234567891Z", "2006-01-02 15:04:05.5z"}).Draw(t, "layout")
			s := []byte(at.Format(text))
			got, err := c.Parse(s)
			want, wrong := ParseTimestamp(s)
			if !got.Equal(want) || (err == nil) != (wrong == nil) {
				t.Fatalf("%s is %v, %v; not %v, %v", s, got, err, want, wrong)
			}
		}
	})
}
