package message

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spancast/spancast/internal/mutants"
)

const stamp = "2026-11-20T09:54:00.123456000Z"

func TestVersion_ComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Version{CommitTimestamp: stamp, ServerTransactionID: rapid.String().Draw(t, "id"), RecordSequence: rapid.StringMatching(`[0-9a-z/ %-]{0,12}`).Draw(t, "sequence"), Mod: rapid.IntRange(0, 1000).Draw(t, "mod")}
		text := v.String()
		if strings.ContainsAny(text, " \n") || strings.Count(text, "/") != 3 {
			t.Fatalf("%q", text)
		}
		back, err := ParseVersion([]byte(text))
		if err != nil || back != v {
			t.Fatalf("%q comes back as %+v, %v", text, back, err)
		}
	})
}

func TestParseVersion_RefusesOthers(t *testing.T) {
	for _, text := range []string{"", stamp, stamp + "/a/b", stamp + "/a/b/c", stamp + "/a/b/-1", stamp + "/a/b/1/2", "2026-11-20/a/b/1", stamp + "/%4/b/1", stamp + "/%zz/b/1", strings.Repeat("x", 30) + "/a/b/1"} {
		if v, err := ParseVersion([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, v)
		}
	}
}

func TestVersion_OrderOfOneKey(t *testing.T) {
	var all []Version
	for _, text := range []string{ // in order
		"2026-11-20T09:54:00.123456000Z/tx1/00000000/3",
		"2026-11-20T09:54:00.123457000Z/tx0/00000000/0",
		"2026-11-20T09:54:00.123457000Z/tx0/00000000/9",
		"2026-11-20T09:54:00.123457000Z/tx0/00000000/10",
		"2026-11-20T09:54:00.123457000Z/tx0/00000002/0",
		"2026-11-20T09:54:00.123457000Z/tx0/1000012389/0",
		"2026-11-20T09:54:01.000000000Z/tx0/00000000/0",
	} {
		v, err := ParseVersion([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if !slices.IsSortedFunc(all, Version.Compare) || all[0].Compare(all[1]) >= 0 || all[3].Compare(all[3]) != 0 {
		t.Errorf("not in order: %v", all)
	}
	if !(Version{}).IsZero() || (Version{}).Compare(all[0]) >= 0 {
		t.Error("the zero version does not come first")
	}
}

func TestHeader_IsReadAsItWasWritten(t *testing.T) {
	frame := AppendHeader(nil, []byte(stamp+"/tx/00000000/3"), []byte("00112233445566ff"), []uint64{17, 5, 18446744073709551615}, []byte(`{"table":"a b c","op":"UPDATE","last":true}`))
	h, err := ParseHeader(frame)
	if err != nil {
		t.Fatal(err)
	}
	if string(h.Version[:TimestampLen]) != stamp || string(h.Epoch) != "00112233445566ff" {
		t.Errorf("%s, %s", h.Version, h.Epoch)
	}
	for level, want := range []uint64{17, 5, 18446744073709551615} {
		if n, ok := h.Counter(level); n != want || !ok {
			t.Errorf("counter %d is %d, %t", level, n, ok)
		}
	}
	if n, ok := h.Counter(3); ok {
		t.Errorf("a counter for a level without: %d", n)
	}
	a, err := ParseAttributes(h.Attributes)
	if err != nil || a.Table != "a b c" || a.Op != "UPDATE" || !a.Last {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestParseHeader_RefusesOthers(t *testing.T) {
	for _, text := range []string{"", "a", "a b c {}", stamp + " e 1", stamp + " e 1 ", stamp + " e 1 []", stamp + "  1 {}", " " + stamp + " e {}"} {
		if h, err := ParseHeader([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, h)
		}
	}
}

func TestControl_TellsControlMessagesFromChanges(t *testing.T) {
	for topic, want := range map[string][2]string{
		"$hello/":                  {"", "$hello/"},
		"Orders/$resolved/":        {"Orders/", "$resolved/"},
		"Orders/UPDATE/$resolved/": {"Orders/UPDATE/", "$resolved/"},
	} {
		if level, kind, ok := Control(topic); !ok || level != want[0] || kind != want[1] {
			t.Errorf("%s: %q, %q, %t", topic, level, kind, ok)
		}
	}
	for _, topic := range []string{"", "/", "Orders/UPDATE/", "Orders/a$b/", "Orders/%24x/"} {
		if level, kind, ok := Control(topic); ok {
			t.Errorf("%q is taken for %q of %q", topic, kind, level)
		}
	}
}

func TestLevel_OfASubscription(t *testing.T) {
	for prefix, want := range map[string]int{"": 0, "Orders/": 1, "Orders/UPDATE/": 2} {
		if n, ok := Level(prefix); n != want || !ok {
			t.Errorf("%q: %d, %t", prefix, n, ok)
		}
	}
	if _, ok := Level("Orders"); ok {
		t.Error("Orders would be of a level, and matches OrdersArchive/")
	}
}

func FuzzParse_NeverPanics(f *testing.F) {
	const header, topic = stamp + `/tx/00000000/3 00112233445566ff 1/2/3 {"table":"T"}`, "Orders/$resolved/"
	f.Add([]byte(header), topic)
	for mutant := range mutants.Of([]byte(header), 1000) {
		f.Add(mutant, topic)
	}
	for mutant := range mutants.Of(topic, 200) {
		f.Add([]byte(header), mutant)
	}
	f.Fuzz(func(t *testing.T, frame []byte, topic string) {
		if level, kind, ok := Control(topic); ok && level+kind != topic {
			t.Fatalf("%q becomes %q and %q", topic, level, kind)
		}
		h, err := ParseHeader(frame)
		if err != nil {
			return
		}
		h.Counter(0)
		h.Counter(5)
		ParseAttributes(h.Attributes)
		if v, err := ParseVersion(h.Version); err == nil {
			if again, err := ParseVersion([]byte(v.String())); err != nil || again != v {
				t.Fatalf("%+v becomes %+v, %v", v, again, err)
			}
		}
	})
}
