package tail

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
)

const epoch = "00000000000000aa"

// change builds a change of a row of Orders; n is its version.
func change(t *testing.T, row, n int) *subscriber.Change {
	t.Helper()
	return parsed(t, "Orders/UPDATE/", fmt.Sprintf(`2026-11-20T09:54:%02d.000000000Z/tx%d-%d/00000000/0 %s 1/1/1 {"table":"Orders","op":"UPDATE"}`, n, n, row, epoch),
		fmt.Sprintf(`{"keys":{"Id":"%d"},"new_values":{},"old_values":{}}`, row))
}

func parsed(t *testing.T, topic, header, body string) *subscriber.Change {
	t.Helper()
	h, err := message.ParseHeader([]byte(header))
	if err != nil {
		t.Fatal(err)
	}
	return &subscriber.Change{Topic: topic, Header: h, Body: []byte(body)}
}

// see lets a verifier see changes and returns what it found, in all.
func see(v *Verifier, changes ...*subscriber.Change) string {
	var found []string
	for _, c := range changes {
		found = append(found, v.See(c)...)
	}
	return strings.Join(found, "; ")
}

func TestVerifier_TellsWhatTheSubscriberShouldHaveLeftOut(t *testing.T) {
	v := NewVerifier()
	if got := see(v, change(t, 1, 1), change(t, 1, 3), change(t, 2, 2)); got != "" {
		t.Errorf("found %q in what is as it should be", got)
	}
	if got := see(v, change(t, 1, 1)); got != "a change came twice" {
		t.Errorf("found %q", got)
	}
	if got := see(v, change(t, 1, 2)); !strings.HasPrefix(got, "out of order") {
		t.Errorf("found %q", got)
	}
	row := change(t, 1, 1)
	row.Origin = subscriber.Snapshot
	if got := see(v, row); got != "" {
		t.Errorf("found %q in a row of a snapshot", got)
	}
	if s := v.Summary(); s.Twice != 1 || s.OutOfOrder != 1 {
		t.Errorf("%+v", s)
	}
}

// TestVerifier_OrderWithinATransaction is that of records, then of mods. Sequences
// are text: digits, of any number, or what Google's emulator writes.
func TestVerifier_OrderWithinATransaction(t *testing.T) {
	for _, sequences := range [][3]string{
		{"00000000", "00000009", "00000010"},
		{"999", "1000", "1000012389"},
		{"00000000000000009999", "18446744073709551615", "18446744073709551616"},
		{"00000000000000ff-00000000", "00000000000000ff-00000001", "0000000000000100-00000000"},
	} {
		v := NewVerifier()
		at := func(sequence string, mod int) *subscriber.Change {
			return parsed(t, "Orders/UPDATE/", fmt.Sprintf(`2026-11-20T09:54:00.000000000Z/tx/%s/%d %s 1/1/1 {"table":"Orders","op":"UPDATE"}`, sequence, mod, epoch), `{"keys":{"Id":"1"}}`)
		}
		if got := see(v, at(sequences[0], 0), at(sequences[0], 2), at(sequences[1], 0), at(sequences[2], 1)); got != "" {
			t.Errorf("%q: found %q in what is as it should be", sequences, got)
		}
		for _, c := range []*subscriber.Change{at(sequences[1], 5), at(sequences[2], 0)} {
			if got := see(v, c); !strings.HasPrefix(got, "out of order") {
				t.Errorf("%s: found %q", c.Header.Version, got)
			}
		}
	}
}

// TestVerifier_RemembersTheLatest, and no more than it may.
func TestVerifier_RemembersTheLatest(t *testing.T) {
	var r recent[int]
	for i := range 3 * remembered {
		r.put(uint64(i), i)
	}
	for _, i := range []int{3*remembered - 1, 3*remembered - remembered/2} {
		if v, ok := r.get(uint64(i)); !ok || v != i {
			t.Errorf("%d is forgotten", i)
		}
	}
	if _, ok := r.get(0); ok || len(r.young)+len(r.old) > remembered {
		t.Errorf("%d are remembered", len(r.young)+len(r.old))
	}
}

func TestTextPrinter_IsForPeople(t *testing.T) {
	var b strings.Builder
	p := newPrinter(Options{Format: Text, Out: &b})
	print := func(op, body string) string {
		b.Reset()
		c := parsed(t, "Orders/"+op+"/", `2026-11-20T09:54:01.123456000Z/tx/00000000/0 `+epoch+` 1/1/1 {"table":"Orders","op":"`+op+`"}`, body)
		if err := p.change(c); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for want, got := range map[string]string{
		"09:54:01.123456  UPDATE  Orders  Id=42  Status: new → paid  Note=\"a b\"\n": print("UPDATE", `{"keys":{"Id":"42"},"new_values":{"Status":"paid","Note":"a b"},"old_values":{"Status":"new"}}`),
		"09:54:01.123456  DELETE  Orders  Id=42  Status=null\n":                      print("DELETE", `{"keys":{"Id":"42"},"new_values":{},"old_values":{"Status":null}}`),
		"09:54:01.123456  INSERT  Orders  {\"specversion\":\"1.0\"}\n":               print("INSERT", `{"specversion":"1.0"}`),
	} {
		if got != want {
			t.Errorf("got  %qwant %q", got, want)
		}
	}
}
