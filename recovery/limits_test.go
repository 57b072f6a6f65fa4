package recovery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/wait"
)

// ask asks for everything, without waiting for the answer.
func (c *client) ask(id string, credit message.Credit, to string) {
	c.f.Helper()
	c.send(message.CommandReplay, message.ReplayRequest{ID: id, Topics: []string{""}, From: message.FormatTime(c.f.began), To: to, Credit: credit})
}

// hold asks for what takes an hour, and keeps its place until it is cancelled.
func (c *client) hold(id string) {
	c.f.Helper()
	c.ask(id, plenty, message.FormatTime(c.f.server.Now().Add(time.Hour)))
}

// failedWith checks that an answer ended with an error.
func failedWith(t testing.TB, all []*answered, code string) {
	t.Helper()
	var e message.ErrorBody
	if last(t, all, message.Failed, &e); e.Code != code || e.Message == "" {
		t.Errorf("%+v, want %s", e, code)
	}
}

// The server sends what was granted and not a message more; bytes may be
// overdrawn by the last message. Control messages are free.
func TestCredit_IsNeverExceeded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	f.commit(60)
	c := f.client()
	var got []*answered
	more := func(wait time.Duration) {
		for m := c.receive(wait); m != nil; m = c.receive(wait) {
			if m.kind == "" || m.kind == message.End {
				got = append(got, m)
			}
		}
	}
	c.ask("a", message.Credit{Messages: 7, Bytes: 1 << 20}, message.Now)
	wait.Until(f, "seven", func() bool { more(50 * time.Millisecond); return len(got) >= 7 })
	if more(300 * time.Millisecond); len(got) != 7 {
		t.Fatalf("%d messages, 7 were granted", len(got))
	}
	c.send(message.CommandCredit, message.CreditRequest{ID: "a", Credit: message.Credit{Messages: 3}})
	wait.Until(f, "three more", func() bool { more(50 * time.Millisecond); return len(got) >= 10 })
	c.send(message.CommandCancel, message.CancelRequest{ID: "a"})
	failedWith(t, c.collect("a"), message.Canceled)

	// Bytes: two messages fit, the third overdraws.
	got = nil
	c.ask("b", message.Credit{Messages: 100}, message.Now)
	more(200 * time.Millisecond)
	if len(got) != 0 {
		t.Fatalf("%d messages without bytes", len(got))
	}
	size := int64(0)
	c.send(message.CommandCredit, message.CreditRequest{ID: "b", Credit: message.Credit{Bytes: 600}})
	wait.Until(f, "some", func() bool { more(50 * time.Millisecond); return len(got) > 0 })
	more(300 * time.Millisecond)
	for _, m := range got[:len(got)-1] {
		size += m.size
	}
	if size >= 600 || size+got[len(got)-1].size < 600 {
		t.Errorf("%d messages of %d bytes and %d for the last, 600 were granted", len(got), size, got[len(got)-1].size)
	}
	c.send(message.CommandCredit, message.CreditRequest{ID: "b", Credit: plenty})
	all := c.collect("b")
	if n := len(got) + len(changes(all)); n != 60 {
		t.Errorf("%d messages in all", n)
	}
}

// Who grants nothing, or reads nothing, is let go, and its place is free.
func TestCredit_WhoGrantsNothingIsLetGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running, f.opt.NoCredit = 1, 300*time.Millisecond
	f.serve()
	f.commit(20)
	stingy := f.client()
	stingy.ask("s", message.Credit{Messages: 5, Bytes: 1 << 20}, message.Now)
	if m := stingy.next(); m.topic != message.Begin {
		t.Fatalf("%+v", m)
	}
	all := stingy.collect("s")
	if failedWith(t, all, message.NoCredit); len(changes(all)) != 5 {
		t.Errorf("%d changes", len(changes(all)))
	}
}

// Who waits for credit stands in nobody's way: its place is taken by others,
// and it goes on when it can. When there are many like it, and others wait, the
// longest is let go.
func TestCredit_WhoHasNoneStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running, f.opt.NoCredit = 1, time.Hour
	f.serve()
	f.commit(20)
	var stingy []*client
	for range 4 {
		c := f.client()
		stingy = append(stingy, c)
		c.ask("s", message.Credit{Messages: 5, Bytes: 1 << 20}, message.Now)
		for m := c.next(); m.count < 5; m = c.next() {
		}
	}
	if got := changes(f.client().replay(message.ReplayRequest{From: message.FormatTime(f.began), To: message.Now})); len(got) != 20 {
		t.Errorf("%d changes", len(got))
	}
	for i, c := range stingy {
		c.send(message.CommandCredit, message.CreditRequest{ID: "s", Credit: plenty})
		all := c.collect("s")
		if i < 3 { // two may wait for credit; these made room for those that came after
			failedWith(t, all, message.NoCredit)
		} else if got := changes(all); len(got) != 15 {
			t.Errorf("%d: %d changes", i, len(got))
		}
	}
}

// One that has nothing to send is not let go, however long it waits.
func TestCredit_IsNotMissedWithoutAnythingToSend(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.NoCredit = 100 * time.Millisecond
	f.serve()
	c := f.client()
	c.ask("f", message.Credit{}, "")
	replays := 0
	for replays < 4 { // one a second
		m := c.next()
		if m.kind == message.Failed {
			t.Fatalf("%s %s", m.topic, m.body)
		}
		if m.kind == message.Replay {
			replays++
		}
	}
}

// Requests wait in line, in turns of their clients, are told so, and begin.
func TestLine_IsFair(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running, f.opt.NoCredit = 1, time.Hour
	f.serve()
	f.commit(5)
	holder, many, one := f.client(), f.client(), f.client()
	holder.hold("h")
	if m := holder.next(); m.topic != message.Begin {
		t.Fatalf("%+v", m)
	}
	waits := func(c *client, before int) {
		t.Helper()
		var body message.WaitBody
		if last(t, []*answered{c.next()}, message.Wait, &body); body.Before != before {
			t.Errorf("%d before, want %d", body.Before, before)
		}
	}
	for i := range 4 {
		many.ask(fmt.Sprint("m", i), plenty, message.Now)
		waits(many, i)
	}
	many.ask("m4", plenty, message.Now)
	failedWith(t, many.collect("m4"), message.TooMany)
	one.ask("o", plenty, message.Now)
	waits(one, 1) // only the first of the other client is before it
	many.send(message.CommandCancel, message.CancelRequest{ID: "m1"})
	failedWith(t, many.collect("m1"), message.Canceled)
	if m := one.next(); m.topic != message.Wait { // it is said again
		t.Fatalf("%+v", m)
	}
	holder.send(message.CommandCancel, message.CancelRequest{ID: "h"})
	if got := changes(one.collect("o")); len(got) != 5 {
		t.Errorf("%d changes", len(got))
	}
	ends := 0
	for ends < 3 {
		if m := many.next(); m.kind == message.End {
			if want := []string{"m0", "m2", "m3"}[ends]; m.id != want {
				t.Errorf("%s ended, want %s", m.id, want)
			}
			ends++
		}
	}
}

// Beyond a number of requests in line the next is refused, whoever asks.
func TestLine_IsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running, f.opt.Waiting, f.opt.NoCredit = 1, 5, time.Hour
	f.serve()
	f.commit(1)
	refused := 0
	var clients []*client
	for range 8 {
		c := f.client()
		c.hold("x")
		clients = append(clients, c)
		if m := c.next(); m.kind == message.Failed {
			failedWith(t, []*answered{m}, message.TooMany)
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d refused", refused)
	}
	// Those who go make room.
	for _, c := range clients[1:] {
		c.close()
	}
	clients[0].send(message.CommandCancel, message.CancelRequest{ID: "x"})
	s := f.recovery.Stats()
	wait.Until(f, "the line is empty", func() bool {
		return s.Requests.Load() == 6 && s.Refused.Load() == 2 && s.Waiting.Load() == 0 && s.Running.Load() == 0
	})
	if got := changes(f.client().replay(message.ReplayRequest{From: message.FormatTime(f.began), To: message.Now})); len(got) != 1 {
		t.Errorf("%d changes", len(got))
	}
}

// Replays without end leave the places of those that are worked on when they
// have caught up, and there is a number of their own.
func TestLine_FollowersHaveANumberOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.Running, f.opt.Following = 1, 2
	f.serve()
	f.commit(5)
	for i := range 2 {
		c := f.client()
		c.ask("f", plenty, "")
		for m := c.next(); m.topic != message.Live; m = c.next() {
			if m.kind == message.End || m.kind == message.Failed {
				t.Fatalf("follower %d: %s %s", i, m.topic, m.body)
			}
		}
	}
	third := f.client()
	third.ask("f", plenty, "")
	if m := third.next(); m.topic != message.Wait {
		t.Errorf("the third follower gets %s", m.topic)
	}
	// It does not stand in the way of others.
	if got := changes(f.client().replay(message.ReplayRequest{From: message.FormatTime(f.began), To: message.Now})); len(got) != 5 {
		t.Errorf("%d changes", len(got))
	}
}

// What is older than the stream keeps, or than the stream, is said to be gone,
// with what can be had; from there it can.
func TestReplay_OfWhatIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.serve()
	f.commit(5)
	c := f.client()
	for what, from := range map[string]time.Time{"before the stream": f.began.Add(-time.Hour), "before retention": f.began} {
		if what == "before retention" {
			f.server.Advance(25 * time.Hour)
			f.commit(3)
		}
		for _, to := range []string{message.Now, ""} {
			all := c.replay(message.ReplayRequest{From: message.FormatTime(from), To: to})
			var gone message.GoneBody
			if last(t, all, message.Gone, &gone); gone.From != message.FormatTime(from) || gone.Oldest <= gone.From || len(changes(all)) != 0 {
				t.Errorf("%s, to %q: %+v", what, to, gone)
			}
			if what != "before retention" {
				continue
			}
			oldest, err := time.Parse(time.RFC3339Nano, gone.Oldest)
			must(t, err)
			if got := changes(c.replay(message.ReplayRequest{From: message.FormatTime(oldest.Add(time.Minute)), To: message.Now})); len(got) != 3 {
				t.Errorf("%d changes of what is left", len(got))
			}
		}
	}
}

// However little a feed may hold, a replay comes to its end, and in order:
// commits that are larger than that, and partitions that are ahead of others.
func TestReplay_NeedsLittleMemory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{Partitions: 5, Faults: emulator.Faults{SharedTimestamps: true}}, emulator.GoogleSQL, googleDDL...)
	f.opt.MaxBuffer = 1
	f.serve()
	for i := range 40 {
		f.commit(5)
		f.churn(i)
	}
	all := f.client().replay(message.ReplayRequest{From: message.FormatTime(f.began), To: message.Now})
	sorted(t, all)
	same(t, versions(all), f.rows)
	wait.Until(f, "nothing is held", func() bool { return f.recovery.Stats().Buffered.Load() == 0 })
}

// While a client grants nothing, its answer holds what it may and one result
// more, however much there is to be sent.
func TestReplay_HoldsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emulator.Options{}, emulator.GoogleSQL, googleDDL...)
	f.opt.MaxBuffer = 64 << 10
	f.serve()
	_, err := f.server.Load(context.Background(), emulator.Load{Database: testDatabase, Stream: testStream, Table: "T", Records: 20_000})
	must(t, err)
	c := f.client()
	c.ask("a", message.Credit{}, message.Now)
	held := &f.recovery.Stats().Buffered
	wait.Until(f, "it is full", func() bool { return held.Load() >= 64<<10 })
	for range 20 {
		if n := held.Load(); n > 512<<10 {
			t.Fatalf("%d bytes are held", n)
		}
		c.receive(20 * time.Millisecond)
	}
	c.send(message.CommandCredit, message.CreditRequest{ID: "a", Credit: plenty})
	if n := len(changes(c.collect("a"))); n != 20_000 {
		t.Errorf("%d changes", n)
	}
}
