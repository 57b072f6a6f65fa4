package changestream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
)

// exchanging makes a fixture with two partitions that hold keys, read by one
// replica or by two.
func exchanging(t *testing.T, d emulator.Dialect, replicas int) (*fixture, []*replica) {
	t.Helper()
	f := newMutable(t, emulator.Options{Partitions: 1}, d)
	all := []*replica{f.replica("a", 2/replicas)}
	f.until("a reads", func() bool { return all[0].stream.Owned() == 1 })
	if replicas == 2 {
		all = append(all, f.replica("b", 1))
	}
	f.stream = all[0].stream
	f.commit(10)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Split, ""))
	last := all[len(all)-1]
	f.until("both partitions are read", func() bool { return last.stream.Owned() == 2/replicas })
	f.check(f.commit(20))
	return f, all
}

// Two partitions give each other their keys at one timestamp, again and again:
// each waits for what the other had, at the same time, and neither for ever.
func TestMutable_TwoPartitionsExchangeKeys(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for _, replicas := range []int{1, 2} {
			t.Run(fmt.Sprint(d, " read by ", replicas), func(t *testing.T) {
				t.Parallel()
				f, all := exchanging(t, d, replicas)
				for range 3 {
					f.commit(10)
					must(t, f.server.Churn(testDatabase, testStream, emulator.Exchange, ""))
					f.check(f.commit(10))
				}
				f.sink.noStepBack(t)
				for _, r := range all {
					must(t, r.stop())
				}
			})
		}
	}
}

// The owner of one of them dies while both wait: what it had not published is
// published by the next one before the other goes on, and what was saved of it
// lets the other go on.
func TestMutable_AnExchangeOutlivesAnOwner(t *testing.T) {
	t.Parallel()
	for _, published := range []bool{false, true} {
		t.Run(fmt.Sprint("published ", published), func(t *testing.T) {
			t.Parallel()
			f, all := exchanging(t, emulator.GoogleSQL, 2)
			a, b := all[0], all[1]
			if !published {
				for _, token := range f.open() {
					a.out.hold(token)
				}
			}
			waited := b.stream.Stats().MoveIns.Load()
			f.commit(10)
			must(t, f.server.Churn(testDatabase, testStream, emulator.Exchange, ""))
			last := f.commit(10)
			f.until("b waits", func() bool { return b.stream.Stats().MoveIns.Load() > waited })
			if published {
				f.until("a has said what it gave", func() bool {
					for _, p := range f.stored() {
						if p.Owner == "a" && len(p.MovedTo) > 0 {
							return true
						}
					}
					return false
				})
			}
			a.kill()
			c := f.replica("c", 0)
			f.stream = c.stream
			f.check(last)
			f.sink.noStepBack(t)
			must(t, c.stop())
			must(t, b.stop())
		})
	}
}

// What a partition gave is on record only when it cannot be lost any more.
func TestMutable_WhatWasGivenIsSavedBehindTheLag(t *testing.T) {
	t.Parallel()
	f, all := exchanging(t, emulator.GoogleSQL, 2)
	for _, r := range all {
		must(t, r.stop())
	}
	f.opt.CheckpointLag = time.Hour
	a, b := f.replica("a2", 1), f.replica("b2", 1)
	f.until("both read", func() bool { return a.stream.Owned() == 1 && b.stream.Owned() == 1 })
	f.commit(10)
	must(t, f.server.Churn(testDatabase, testStream, emulator.Exchange, ""))
	f.commit(10)
	f.until("both wait", func() bool { return a.stream.Stats().MoveIns.Load() > 0 && b.stream.Stats().MoveIns.Load() > 0 })
	commits := a.stream.Stats().Commits.Load()
	f.until("positions are saved", func() bool { return a.stream.Stats().Commits.Load() > commits+5 })
	for _, p := range f.stored() {
		if p.State != changestream.Finished && len(p.MovedTo) > 0 {
			t.Errorf("%s: what it gave is on record, though it may be lost", p.Token.Short())
		}
	}
	must(t, a.stop())
	must(t, b.stop())
}
