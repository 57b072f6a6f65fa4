package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

// TestPercentile_IsWithinABucket: buckets are a sixteenth of a doubling wide.
func TestPercentile_IsWithinABucket(t *testing.T) {
	buckets := make([]uint64, 64*16)
	bucket := func(ns uint64) int {
		high := int(math.Floor(math.Log2(float64(ns))))
		return high*16 + int(ns>>(high-4)&15)
	}
	for ns := uint64(1000); ns <= 1_000_000; ns += 1000 {
		buckets[bucket(ns)]++
	}
	for _, p := range []float64{0.5, 0.9, 0.99} {
		if got, want := percentile(buckets, p), p*1e6; math.Abs(got-want) > want/16 {
			t.Errorf("percentile %v is %v, not about %v", p, got, want)
		}
	}
	if got := percentile(make([]uint64, 64*16), 0.5); !math.IsNaN(got) {
		t.Errorf("percentile of nothing is %v", got)
	}
}

// TestCollection_LeavesOutWhatWasIdle: the fourth of five times.
func TestCollection_LeavesOutWhatWasIdle(t *testing.T) {
	got, ok := collection("gc 7 @2.104s 0%: 0.025+1.6+0.004 ms clock, 0.5+0.25/1.25/100+1 ms cpu, 20->21->10 MB, 21 MB goal, 0 MB stacks, 0 MB globals, 2 P")
	if !ok || got != 3*time.Millisecond {
		t.Errorf("%v, %v", got, ok)
	}
	for _, line := range []string{`{"level":"INFO"}`, "gc without times", ""} {
		if _, ok := collection(line); ok {
			t.Errorf("%q was taken for a collection", line)
		}
	}
}

func TestTail_AddsUpCollectionsAndKeepsTheRest(t *testing.T) {
	var log tail
	for _, piece := range []string{"hello\ngc 1 @1s 0%: 0+0+0 ms clock, 1+0/0/0", "+1 ms cpu, 1->1->1 MB\nwor", "ld\n"} {
		log.Write([]byte(piece))
	}
	if log.String() != "hello\nworld\n" || log.collected() != 2*time.Millisecond || log.last() != "world" {
		t.Errorf("%q, %v, %q", log.String(), log.collected(), log.last())
	}
}

// TestReport_LeavesOutWhatIsNotThere, in every form.
func TestReport_LeavesOutWhatIsNotThere(t *testing.T) {
	r := newReport(time.Second)
	table := &Table{Name: "t", Title: "A <title>", Columns: []Column{{"rate", "Rate", PerSecond, true}, {"part", "Part", Percent, false}}}
	table.add("one", 1234567, math.NaN())
	r.Tables = append(r.Tables, table)
	var text, machine, picture bytes.Buffer
	for _, err := range []error{r.WriteText(&text), r.WriteJSON(&machine), r.WriteSVG(&picture)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(text.String(), "1,234,567") || strings.Contains(text.String(), "NaN") {
		t.Error(text.String())
	}
	var back struct {
		Tables []struct{ Rows []map[string]any }
	}
	if err := json.Unmarshal(machine.Bytes(), &back); err != nil || len(back.Tables[0].Rows[0]) != 2 {
		t.Error(err, machine.String())
	}
	if !strings.Contains(picture.String(), "A &lt;title&gt;") || strings.Contains(picture.String(), "NaN") {
		t.Error(picture.String())
	}
}

func TestOptions_SayEveryFault(t *testing.T) {
	err := (&Options{Only: []string{"path", "speed"}}).Validate()
	if err == nil || !strings.Contains(err.Error(), `"speed"`) || !strings.Contains(err.Error(), "--duration") {
		t.Error(err)
	}
	if err := (&Options{Only: []string{"path"}, Duration: time.Second}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestOptions_RefuseWhatWouldBeIgnored: flags of sections that are not measured.
func TestOptions_RefuseWhatWouldBeIgnored(t *testing.T) {
	for _, c := range []struct {
		o     Options
		fault string
	}{
		{Options{Only: []string{"path", "throughput"}, Rate: 100}, "--rate 100 is of the latency section, which is not measured: add --only latency"},
		{Options{Only: []string{"path", "latency"}, Profile: "cpu"}, "--profile cpu is made after the throughput section, which is not measured: add --only throughput"},
		{Options{Only: []string{"latency"}, Rate: 100}, ""},
		{Options{Only: []string{"throughput"}, Profile: "cpu"}, ""},
		{Options{Rate: 100, Profile: "cpu"}, ""},
		{Options{Full: true, Rate: 100, Profile: "cpu"}, ""},
	} {
		c.o.Duration = time.Second
		if err := c.o.Validate(); (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.fault)
		}
	}
}
