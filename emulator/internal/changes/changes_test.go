package changes

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/spancast/spancast/emulator/internal/store"
)

// TestLog_ReadsBackWhatWasAppended reads a log in random pieces from random
// places and compares it with the list of what was appended.
func TestLog_ReadsBackWhatWasAppended(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	type record struct {
		at   store.Timestamp
		data []byte
	}
	var l log
	var all []record
	at := store.Timestamp(100)
	for i := range 5000 {
		at += store.Timestamp(r.IntN(3))
		data := bytes.Repeat([]byte{byte(i)}, 1+r.IntN(500))
		l.append(at, data)
		all = append(all, record{at, data})
	}
	for range 200 {
		from, to := store.Timestamp(90+r.IntN(int(at))), store.Timestamp(90+r.IntN(int(at)+50))
		var want, got []byte
		for _, rec := range all {
			if rec.at >= from && rec.at <= to {
				want = append(want, rec.data...)
			}
		}
		for pos := (position{at: from}); ; {
			run := l.read(pos, to, 1+r.IntN(50), 1+r.IntN(5000))
			if run.rows == 0 {
				break
			}
			got, pos = append(got, run.data...), run.next
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("[%d, %d]: %d bytes, want %d", from, to, len(got), len(want))
		}
	}
}

func TestBetween_LiesWithin(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"", "\x80"}, {"a", "b"}, {"a", ""}, {"a\xff\xff\xff\xff\xff\xff\xff\xff\xff", "b"}, {"abc", "abd"}} {
		got, ok := between(c[0], c[1])
		if ok && (got <= c[0] || c[1] != "" && got >= c[1]) {
			t.Errorf("between %q and %q: %q", c[0], c[1], got)
		}
		if !ok && c[0] != "a\xff\xff\xff\xff\xff\xff\xff\xff\xff" {
			t.Errorf("nothing between %q and %q", c[0], c[1])
		}
	}
	if got, ok := between("a", "a\x00"); ok {
		t.Errorf("between neighbours: %q", got)
	}
}

func TestPosition_ResumeTokenRoundTrip(t *testing.T) {
	for _, p := range []position{{0, 0}, {1763640000000000, 3}, {store.Max, 1<<32 - 1}} {
		text := p.String()
		if _, got, ok := parseResume(encodeResume(text)); !ok || got != p {
			t.Errorf("%s: got %v", text, got)
		}
	}
	for _, bad := range []string{"", "!!", encodeResume("x"), encodeResume("1.x"), encodeResume("1.99999999999")} {
		if _, pos, ok := parseResume(bad); ok {
			t.Errorf("%q is taken as %v", bad, pos)
		}
	}
}

func TestCloseAt_WritesEveryLength(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 3_000_000} {
		dst, mark := open([]byte("before"), tagString)
		dst = closeAt(append(dst, bytes.Repeat([]byte{7}, n)...), mark)
		want := append(appendVarint(append([]byte("before"), tagString), n), bytes.Repeat([]byte{7}, n)...)
		if !bytes.Equal(dst, want) {
			t.Errorf("length %d is written wrongly", n)
		}
	}
}

func TestSequence_IsPadded(t *testing.T) {
	for n, want := range map[int]string{0: "00000000", 7: "00000007", 1234567: "01234567", 123456789: "123456789"} {
		if got := string(appendPadded(nil, n)); got != want || sequence(n) != want {
			t.Errorf("%d: %s and %s, want %s", n, got, sequence(n), want)
		}
	}
}
