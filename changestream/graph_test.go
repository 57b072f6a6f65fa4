package changestream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestGraph_Scenarios runs testdata/graph. Time is in seconds, "me" is the
// replica under test. Commands:
//
//	new [gate] [mutable] [retention=S] [keep=S]   an empty graph
//	load                                  rows, one a line: TOKEN STATE [parents=A,B]
//	                                      start=S [pos=S] [end=S] [owner=R epoch=N expiry=S] [finished=S] [moved=S to=A,B]
//	take A B … now=S                      with a lease of 10 s
//	advance A to=S
//	ended A at=S children=(C:A+B D:A)     tokens with their parents
//	announced A at=S tokens=(B C)         partitions that start while A lives on
//	rejoined A at=S tokens=(B C)          those that live where A goes on behind a gap
//	movedout A at=S to=(B C) [published=S] keys went to others, published up to there
//	departed A at=S published=S           what went to others, published by then
//	maypass B at=S from=(A X) now=S       whether B may go on behind a move-in
//	saved A / lost A / finish A now=S / remove A
//	startable now=S, removable now=S, lowest now=S, others now=S, unsaved A, childrenstart A, show
func TestGraph_Scenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/graph", func(t *testing.T, path string) {
		var s scenario
		datadriven.RunTest(t, path, s.run)
	})
}

type scenario struct{ g *Graph }

var epochStart = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func second(n int) time.Time {
	if n < 0 {
		return time.Time{}
	}
	return epochStart.Add(time.Duration(n) * time.Second)
}

func seconds(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprint(int(t.Sub(epochStart) / time.Second))
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	number := func(key string, otherwise int) int {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &otherwise)
		}
		return otherwise
	}
	now := second(number("now", 0))
	token := PartitionToken("")
	if len(d.CmdArgs) > 0 {
		token = PartitionToken(d.CmdArgs[0].Key)
	}
	switch d.Cmd {
	case "new":
		s.g = NewGraph(GraphOptions{Self: "me", Gate: d.HasArg("gate"), Mutable: d.HasArg("mutable"),
			Retention: time.Duration(number("retention", 86400)) * time.Second, Keep: time.Duration(number("keep", 3600)) * time.Second})
	case "load":
		return "lost: " + names(s.g.Load(parseRows(t, d.Input)))
	case "take":
		for _, a := range d.CmdArgs {
			if p, ok := s.g.Partition(PartitionToken(a.Key)); ok {
				s.g.Taken(p.Token, p.Epoch+1, now.Add(10*time.Second))
			}
		}
	case "advance":
		s.g.Advance(token, second(number("to", 0)))
	case "ended":
		s.g.Ended(token, second(number("at", 0)), parseChildren(d))
	case "announced":
		s.g.Announced(token, second(number("at", 0)), parseTokens(d, "tokens"))
	case "rejoined":
		s.g.Rejoined(token, second(number("at", 0)), parseTokens(d, "tokens"))
	case "stored":
		return fmt.Sprint(s.g.Stored([]PartitionToken{token}))
	case "movedout":
		s.g.MovedOut(departure{from: token, at: second(number("at", 0)), to: parseTokens(d, "to"), published: second(number("published", 0))})
	case "departed":
		return names(s.g.Departed(token, second(number("at", 0)), second(number("published", 0))))
	case "maypass":
		return fmt.Sprint(s.g.MayPass(token, second(number("at", 0)), parseTokens(d, "from"), now))
	case "saved":
		s.g.Saved(token)
	case "lost":
		s.g.Lost(token)
	case "finish":
		s.g.Finish(token, now)
	case "remove":
		s.g.Remove([]PartitionToken{token})
	case "startable":
		return partitions(s.g.Startable(now))
	case "unsaved":
		return partitions(s.g.Unsaved(token))
	case "removable":
		return names(s.g.Removable(now))
	case "childrenstart":
		at, ok := s.g.ChildrenStart(token)
		return fmt.Sprint(seconds(at), " ", ok)
	case "lowest", "others":
		t, ok := s.g.lowest(now)
		if d.Cmd == "others" {
			t, ok = s.g.Others(now)
		}
		if !ok {
			return "none"
		}
		return seconds(t)
	case "show":
		return s.show()
	default:
		t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	}
	return ""
}

func parseRows(t *testing.T, input string) []Partition {
	var rows []Partition
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		p := Partition{Token: PartitionToken(words[0]), State: State(strings.ToUpper(words[1]))}
		pos := -1
		for _, w := range words[2:] {
			key, val, _ := strings.Cut(w, "=")
			n := 0
			fmt.Sscan(val, &n)
			switch key {
			case "parents":
				p.Parents = splitTokens(val)
			case "moved":
				p.MovedAt = second(n)
			case "to":
				p.MovedTo = splitTokens(val)
			case "start":
				p.Start = second(n)
			case "pos":
				pos = n
			case "end":
				p.End = second(n)
			case "owner":
				p.Owner = val
			case "epoch":
				p.Epoch = int64(n)
			case "expiry":
				p.Expiry = second(n)
			case "finished":
				p.FinishedAt = second(n)
			default:
				t.Fatalf("unknown %q", w)
			}
		}
		if p.Position = p.Start; pos >= 0 {
			p.Position = second(pos)
		}
		rows = append(rows, p)
	}
	return rows
}

func splitTokens(list string) (out []PartitionToken) {
	for _, token := range strings.Split(list, ",") {
		out = append(out, PartitionToken(token))
	}
	return out
}

func parseChildren(d *datadriven.TestData) []ChildPartition {
	var out []ChildPartition
	for _, a := range d.CmdArgs {
		if a.Key != "children" {
			continue
		}
		for _, v := range a.Vals {
			for _, spec := range strings.Fields(strings.Trim(v, "()")) {
				token, parents, _ := strings.Cut(spec, ":")
				c := ChildPartition{Token: PartitionToken(token)}
				for _, p := range strings.Split(parents, "+") {
					c.Parents = append(c.Parents, PartitionToken(p))
				}
				out = append(out, c)
			}
		}
	}
	return out
}

func parseTokens(d *datadriven.TestData, key string) []PartitionToken {
	var out []PartitionToken
	for _, a := range d.CmdArgs {
		if a.Key == key {
			for _, token := range strings.Fields(strings.Trim(strings.Join(a.Vals, " "), "()")) {
				out = append(out, PartitionToken(token))
			}
		}
	}
	return out
}

func names(tokens []PartitionToken) string {
	if len(tokens) == 0 {
		return "none"
	}
	var out []string
	for _, t := range tokens {
		out = append(out, string(t))
	}
	return strings.Join(out, " ")
}

func partitions(list []Partition) string {
	var tokens []PartitionToken
	for _, p := range list {
		tokens = append(tokens, p.Token)
	}
	return names(tokens)
}

func (s *scenario) show() string {
	var b strings.Builder
	for _, p := range s.g.list(func(*node) bool { return true }) {
		fmt.Fprintf(&b, "%s %s start=%s pos=%s end=%s owner=%q epoch=%d\n", p.Token, p.State, seconds(p.Start), seconds(p.Position), seconds(p.End), p.Owner, p.Epoch)
	}
	return b.String()
}
