package message

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCompareVersions_OrdersAsCompareDoes(t *testing.T) {
	version := func(t *rapid.T, name string) Version {
		return Version{
			CommitTimestamp:     rapid.SampledFrom([]string{"2026-11-20T09:54:00.123456000Z", "2026-11-20T09:54:00.123457000Z"}).Draw(t, name+" time"),
			ServerTransactionID: rapid.StringMatching(`[ab%/]{0,2}`).Draw(t, name+" id"),
			RecordSequence:      rapid.StringMatching(`[01/]{1,3}`).Draw(t, name+" sequence"),
			Mod:                 rapid.IntRange(0, 12).Draw(t, name+" mod"),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := version(t, "a"), version(t, "b")
		if got, want := CompareVersions([]byte(a.String()), []byte(b.String())), a.Compare(b); got != want {
			t.Fatalf("%s and %s: %d, want %d", a, b, got, want)
		}
	})
}
