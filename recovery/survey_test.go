package recovery_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/test/wait"
	"github.com/spancast/spancast/topics"
)

// TestSurvey_ShowsWhoHasWhat: what runs, how far it is and what it may still
// send, what waits for credit or in line; and of everything, why it ended.
func TestSurvey_ShowsWhoHasWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	ended := make(chan recovery.Ended, 10)
	f.opt.Running, f.opt.Ended = 1, func(e recovery.Ended) { ended <- e }
	f.serve()
	last := f.commit(20)
	stands := func(id string, is func(recovery.AnswerState) bool) (found recovery.AnswerState) {
		t.Helper()
		wait.Until(f, id, func() bool {
			all := f.recovery.Survey().Answers
			i := slices.IndexFunc(all, func(a recovery.AnswerState) bool { return a.ID == id && is(a) })
			if i >= 0 {
				found = all[i]
			}
			return i >= 0
		})
		return found
	}
	over := func(id, reason string, sent uint64) {
		t.Helper()
		select {
		case e := <-ended:
			if e.ID != id || e.Reason != reason || e.Changes != sent || e.Since.IsZero() || (e.Bytes > 0) != (sent > 0) {
				t.Errorf("%+v has ended, want %s, %s, %d changes", e, id, reason, sent)
			}
		case <-time.After(patience):
			t.Fatalf("nobody told of the end of %s", id)
		}
	}

	stingy, next, third := f.client(), f.client(), f.client()
	stingy.ask("stingy", message.Credit{Messages: 7, Bytes: 1 << 20}, message.Now)
	a := stands("stingy", func(a recovery.AnswerState) bool { return a.State == recovery.Stalled && a.Changes == 7 })
	if a.Kind != recovery.KindReplay || !slices.Equal(a.What, []string{""}) || a.From != message.FormatTime(f.began) || a.To != message.Now || a.Credit.Messages != 0 || a.Credit.Bytes >= 1<<20 {
		t.Errorf("%+v", a)
	}
	if a.Reached < message.FormatTime(f.began) || a.Reached > message.FormatTime(last) {
		t.Errorf("it has reached %s", a.Reached)
	}
	// Whoever stalls gives up its place, and keeps what it has: the next one runs.
	next.hold("next")
	stands("next", func(a recovery.AnswerState) bool { return a.State == recovery.Running && a.Changes == 20 })
	third.send(message.CommandSnapshot, message.SnapshotRequest{ID: "third", Tables: []string{"T"}, Credit: plenty})
	a = stands("third", func(a recovery.AnswerState) bool { return a.State == recovery.Waiting })
	if a.Kind != recovery.KindSnapshot || !slices.Equal(a.What, []string{"T"}) || a.Before != 0 || a.Changes != 0 || a.Reached != "" {
		t.Errorf("%+v", a)
	}
	stingy.send(message.CommandCancel, message.CancelRequest{ID: "stingy"})
	over("stingy", message.Canceled, 7)
	next.close()
	over("next", "left", 20)
	third.collect("third")
	over("third", "complete", 10)
	wait.Until(f, "nothing is left", func() bool { return len(f.recovery.Survey().Answers) == 0 })
}

// TestSurvey_HasNoRowData: nor has the log. Topics may be made of keys.
func TestSurvey_HasNoRowData(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	template, err := topics.ParseTemplate("{table}/{key}/")
	must(t, err)
	router := topics.New("shop", testStream, template, nil)
	f.opt.Router = func() *topics.Router { return router }
	server, bob := newKey(t), newKey(t)
	policy, err := access.ParsePolicy(fmt.Appendf(nil, "identities:\n  - {name: bob, keys: [%q], topics: [T/]}\n", bob.Public()))
	must(t, err)
	f.opt.Access = access.NewGate(access.NewBook(policy, time.Now), []access.SecretKey{server}, 100, f.opt.Log)
	var log strings.Builder // to be read when the server has ended
	f.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
	stop := f.start()
	c := f.keyed(bob)
	c.send(message.CommandReplay, message.ReplayRequest{ID: "mine", Topics: []string{"T/secret/"}, From: message.FormatTime(f.began), Credit: plenty})
	wait.Until(f, "it is shown", func() bool { return len(f.recovery.Survey().Answers) == 1 })
	if what := f.recovery.Survey().Answers[0].What; !slices.Equal(what, []string{"…"}) {
		t.Errorf("%q is shown", what)
	}
	c.send(message.CommandReplay, message.ReplayRequest{ID: "theirs", Topics: []string{"U/secret/"}, From: message.FormatTime(f.began), Credit: plenty})
	for m := c.next(); m.kind != message.Failed; m = c.next() {
	}
	stop()
	if !strings.Contains(log.String(), "identity=bob") || strings.Contains(log.String(), "secret") {
		t.Errorf("log: %s", log.String())
	}
}
