package recovery_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
)

func same(t testing.TB, got, want map[string][]string) {
	t.Helper()
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("replayed %v\ncommitted %v", got, want)
	}
}

// A replay to now holds every change once, in the order of versions, over
// splits, merges and moves, in both dialects.
func TestReplay_IsCompleteAndInOrderOverEveryGeneration(t *testing.T) {
	t.Parallel()
	for dialect, ddl := range map[emulator.Dialect][]string{emulator.GoogleSQL: googleDDL, emulator.PostgreSQL: postgresDDL} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, emulator.Options{Partitions: 4, Faults: emulator.Faults{SharedTimestamps: true}}, dialect, ddl...)
			f.serve()
			for i := range 60 {
				f.commit(7)
				f.churn(i)
			}
			all := f.client().replay(message.ReplayRequest{From: message.FormatTime(f.began), To: message.Now})
			sorted(t, all)
			same(t, versions(all), f.rows)
			var end message.EndBody
			if last(t, all, message.End, &end); end.Changes != 420 || end.Resolved == "" || all[0].topic != message.Begin {
				t.Errorf("%+v", end)
			}
		})
	}
}

// An answer that was interrupted is taken up with the last version received,
// wherever that was.
func TestReplay_GoesOnAfterAnyVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 3, Faults: emulator.Faults{SharedTimestamps: true}}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	for i := range 10 {
		f.commit(6)
		f.churn(i)
	}
	to := message.FormatTime(f.server.Now())
	c := f.client()
	all := changes(c.replay(message.ReplayRequest{From: message.FormatTime(f.began), To: to}))
	if len(all) != 60 {
		t.Fatalf("%d changes", len(all))
	}
	for i := 0; i < len(all); i += 7 {
		rest := changes(c.replay(message.ReplayRequest{From: all[i].version.String(), To: to}))
		if len(rest) != len(all)-i-1 {
			t.Fatalf("after %d: %d changes", i, len(rest))
		}
		for k, m := range rest {
			if m.version != all[i+1+k].version || m.body != all[i+1+k].body || m.count != uint64(k+1) {
				t.Errorf("after %d: %d is %s, want %s", i, k, m.version, all[i+1+k].version)
			}
		}
	}
}

// From is inclusive and to exclusive.
func TestReplay_OfATimeAndSomeTopics(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	f.commit(20)
	from := f.commit(1) // T 0, an update
	f.commit(8)
	to := f.commit(1) // U 4, an update
	f.commit(3)
	c := f.client()
	q := message.ReplayRequest{From: message.FormatTime(from), To: message.FormatTime(to)}
	if got := changes(c.replay(q)); len(got) != 9 {
		t.Errorf("%d changes, want 9", len(got))
	}
	for topic, want := range map[string]int{"T/": 5, "U/UPDATE/": 4, "U/INSERT/": 0, "T/UPDATE/": 5, "V/": 0} {
		q.Topics = []string{topic}
		if got := changes(c.replay(q)); len(got) != want {
			t.Errorf("%s: %d changes, want %d", topic, len(got), want)
		}
	}
	q.To = q.From
	if got := c.replay(q); len(changes(got)) != 0 || got[len(got)-1].topic != message.End {
		t.Errorf("%+v", got)
	}
}

// A replay without end catches up in the order of versions, says so, and passes
// on what comes in the order of each key, over further generations.
func TestReplay_WithoutEndFollows(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 3}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	for i := range 10 {
		f.commit(5)
		f.churn(i)
	}
	c := f.client()
	c.send(message.CommandReplay, message.ReplayRequest{ID: "f", Topics: []string{""}, From: message.FormatTime(f.began), Credit: plenty})
	var all []*answered
	for {
		all = append(all, c.next())
		if all[len(all)-1].topic == message.Live {
			break
		}
	}
	sorted(t, all)
	same(t, versions(all), f.rows)
	for i := range 20 {
		f.commit(5)
		f.churn(i)
	}
	for len(changes(all)) < 150 {
		all = append(all, c.next())
	}
	same(t, versions(all), f.rows)
	at := message.FormatTime(f.server.Now())
	for {
		m := c.next()
		var body message.ReplayBody
		if last(t, []*answered{m}, message.Replay, &body); body.Resolved > at {
			break
		}
	}
	c.send(message.CommandCancel, message.CancelRequest{ID: "f"})
	var failed message.ErrorBody
	if last(t, c.collect("f"), message.Failed, &failed); failed.Code != message.Canceled {
		t.Errorf("%+v", failed)
	}
}
