package changestream

import (
	"regexp"
	"testing"
	"time"

	"github.com/spancast/spancast/internal/mutants"
)

func TestParseTimestamp_TakesEveryZoneAndFraction(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-20T09:54:00Z":                "2026-11-20T09:54:00.000000000Z",
		"2026-11-20T09:54:00.123456Z":         "2026-11-20T09:54:00.123456000Z",
		"2026-11-20T09:54:00.123456789Z":      "2026-11-20T09:54:00.123456789Z",
		"2023-02-24T17:17:00.678847-08:00":    "2023-02-25T01:17:00.678847000Z",
		"2026-11-20T09:36:19.528867+00:00":    "2026-11-20T09:36:19.528867000Z",
		"2026-11-20T09:36:19.5+0530":          "2026-11-20T04:06:19.500000000Z",
		"2026-11-20 09:36:19+01":              "2026-11-20T08:36:19.000000000Z",
		"0001-01-01T00:00:00Z":                "0001-01-01T00:00:00.000000000Z",
		"9999-12-31T23:59:59.999999999Z":      "9999-12-31T23:59:59.999999999Z",
		"2024-02-29T23:59:59.000000001-00:01": "2024-03-01T00:00:59.000000001Z",
	} {
		got, err := ParseTimestamp([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if s := string(AppendTimestamp(nil, got)); s != want {
			t.Errorf("%s: got %s, want %s", text, s, want)
		}
	}
}

func TestParseTimestamp_RefusesOthers(t *testing.T) {
	for _, text := range []string{"", "2026-11-20", "2026-11-20T09:54:00", "2026-11-20T09:54:00+1", "2026-13-20T09:54:00Z", "2026-11-20T24:54:00Z", "2026-11-20T09:54:00.12x", "2026-1a-20T09:54:00Z", "yesterday, at about five"} {
		if got, err := ParseTimestamp([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func FuzzParseTimestamp_AgreesWithTime(f *testing.F) {
	for _, seed := range []string{"2026-11-20T09:54:00.123456789Z", "2023-02-24T17:17:00.678847-08:00", "0000-01-01T0:00:00+00:00", "2026-11-20T09:54:00,5Z"} {
		f.Add(seed)
		for s := range mutants.Of(seed, 500) {
			f.Add(s)
		}
	}
	// time.Parse also takes an hour of one digit and a comma before the fraction.
	rfc3339 := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTimestamp([]byte(s)) // must not panic
		want, wantErr := time.Parse(time.RFC3339Nano, s)
		if wantErr != nil || !rfc3339.MatchString(s) {
			return
		}
		if err != nil || !got.Equal(want) {
			t.Fatalf("%q: got %v, %v; want %v", s, got, err, want)
		}
		if y := got.Year(); y >= 0 && y <= 9999 {
			if text := string(AppendTimestamp(nil, got)); text != want.UTC().Format("2006-01-02T15:04:05.000000000Z") {
				t.Fatalf("%q: written %s", s, text)
			}
		}
	})
}
