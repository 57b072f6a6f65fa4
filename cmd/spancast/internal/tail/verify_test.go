package tail

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spancast/spancast/message"
)

const (
	epochA = "00000000000000aa"
	epochB = "00000000000000bb"
)

// change builds a change of a row of Orders: n is its version, counters those
// of the root, of Orders/ and of Orders/UPDATE/.
func change(t *testing.T, epoch string, row, n int, counters string) *Message {
	t.Helper()
	return parsed(t, "Orders/UPDATE/", fmt.Sprintf(`2026-11-20T09:54:%02d.000000000Z/tx%d-%d/00000000/0 %s %s {"table":"Orders","op":"UPDATE"}`, n, n, row, epoch, counters),
		fmt.Sprintf(`{"keys":{"Id":"%d"},"new_values":{},"old_values":{}}`, row))
}

func resolved(t *testing.T, epoch, level, counters string) *Message {
	t.Helper()
	return parsed(t, level+message.Resolved, "2026-11-20T09:54:00.000000000Z/-/-/0 "+epoch+" "+counters+" {}", `{"dropped":0}`)
}

func parsed(t *testing.T, topic, header, body string) *Message {
	t.Helper()
	m, err := Parse([][]byte{[]byte(topic), []byte(header), []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// see lets a verifier see messages and returns what it found, in all.
func see(v *Verifier, messages ...*Message) string {
	var found []string
	for _, m := range messages {
		for _, f := range v.See(m) {
			found = append(found, f.Text)
		}
	}
	return strings.Join(found, "; ")
}

func TestVerifier_LossInTheMiddleAndAtTheEnd(t *testing.T) {
	v := NewVerifier([]string{"Orders/"})
	if got := see(v, resolved(t, epochA, "Orders/", "9/5"), change(t, epochA, 1, 1, "12/6/6"), change(t, epochA, 1, 2, "13/7/7")); got != "" {
		t.Errorf("found %q in a whole stream", got)
	}
	if got := see(v, change(t, epochA, 1, 3, "20/10/10")); got != `lost 2 changes under "Orders/"` {
		t.Errorf("found %q", got)
	}
	if got := see(v, resolved(t, epochA, "Orders/", "30/13"), resolved(t, epochA, "Orders/", "31/13")); got != `lost 3 changes under "Orders/"` {
		t.Errorf("found %q", got)
	}
	if s := v.Summary(); s.Gaps != 2 || s.Lost != 5 || s.Changes != 3 || s.Epochs != 1 {
		t.Errorf("%+v", s)
	}
}

func TestVerifier_ANewEpochIsNoLoss(t *testing.T) {
	v := NewVerifier([]string{""})
	if got := see(v, change(t, epochA, 1, 1, "7/7/7"), change(t, epochB, 1, 2, "1/1/1"), change(t, epochA, 2, 1, "8/8/8"), change(t, epochB, 1, 3, "2/2/2")); got != "" {
		t.Errorf("found %q", got)
	}
	if s := v.Summary(); s.Epochs != 2 || s.Gaps != 0 {
		t.Errorf("%+v", s)
	}
}

func TestVerifier_DuplicatesAreRecognisedAndDisorderIsNot(t *testing.T) {
	v := NewVerifier([]string{""})
	if got := see(v, change(t, epochA, 1, 1, "1/1/1"), change(t, epochA, 1, 3, "2/2/2"), change(t, epochB, 1, 1, "1/1/1"), change(t, epochB, 1, 3, "2/2/2")); got != "" {
		t.Errorf("found %q in a repetition", got)
	}
	if got := see(v, change(t, epochB, 1, 2, "3/3/3")); !strings.HasPrefix(got, "out of order") {
		t.Errorf("found %q", got)
	}
	if got := see(v, change(t, epochB, 2, 2, "4/4/4")); got != "" {
		t.Errorf("found %q in the change of another key", got)
	}
	if s := v.Summary(); s.Duplicates != 2 || s.OutOfOrder != 1 {
		t.Errorf("%+v", s)
	}
}

func TestVerifier_LevelsWithoutACounter(t *testing.T) {
	v := NewVerifier([]string{"Orders/42/"})
	row := func(n int, counters string) *Message {
		return parsed(t, "Orders/42/", fmt.Sprintf(`2026-11-20T09:54:%02d.000000000Z/tx%d/00000000/0 %s %s {"table":"Orders"}`, n, n, epochA, counters), `{"keys":{"Id":"42"}}`)
	}
	if got := see(v, row(1, "1/1"), row(2, "7/5")); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestTextPrinter_IsForPeople(t *testing.T) {
	var b strings.Builder
	p := newPrinter(Options{Format: Text, Out: &b})
	print := func(op, body string) string {
		b.Reset()
		m := parsed(t, "Orders/"+op+"/", `2026-11-20T09:54:01.123456000Z/tx/00000000/0 `+epochA+` 1/1/1 {"table":"Orders","op":"`+op+`"}`, body)
		if err := p.change(m); err != nil {
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

func TestParse_RefusesOthers(t *testing.T) {
	for _, frames := range [][][]byte{nil, {[]byte("a/"), []byte("b")}, {[]byte("a/"), []byte("b"), []byte("c")}} {
		if m, err := Parse(frames); err == nil {
			t.Errorf("%q: %+v", frames, m)
		}
	}
}
