// Package fleet makes sense of what the metadata tables hold: who reads what,
// how far all are, and what is wrong. It needs nothing but a view of them, so
// that any machine can show the whole fleet.
package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spancast/spancast/changestream"
)

// A Fleet is all replicas of a change stream and what they do.
type Fleet struct {
	Stream string    `json:"change_stream"`
	Now    time.Time `json:"now"` // of the metadata database
	// Resolved is up to when every change was published for sure; it trails by
	// the checkpoint lag. Zero while nothing is read.
	Resolved   time.Time   `json:"resolved,omitzero"`
	Lag        float64     `json:"lag_seconds"`
	Counts     Counts      `json:"partitions"`
	Replicas   []Replica   `json:"replicas"`
	Trouble    []string    `json:"trouble"`
	Partitions []Partition `json:"-"` // furthest behind first, finished ones last
}

// Counts are numbers of partitions by state.
type Counts struct {
	Created  int `json:"created"`
	Running  int `json:"running"`
	Finished int `json:"finished"`
}

// A Replica is one of the fleet.
type Replica struct {
	ID         string    `json:"id"`
	Epoch      string    `json:"epoch"` // of its publisher
	Endpoints  []string  `json:"endpoints"`
	Capacity   int       `json:"capacity"` // 0: no limit
	Partitions int       `json:"partitions"`
	Oldest     time.Time `json:"oldest_position,omitzero"` // of those
	LastSeen   time.Time `json:"last_seen"`
	Live       bool      `json:"live"`
}

// A Partition is one partition, for people.
type Partition struct {
	Partition string    `json:"partition"` // hash of its token
	State     string    `json:"state"`
	Owner     string    `json:"owner"`
	Epoch     int64     `json:"epoch"`
	LeaseLeft float64   `json:"lease_left_seconds"` // below 0 when it ran out; 0 without an owner
	Position  time.Time `json:"position"`
	Lag       float64   `json:"lag_seconds"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end,omitzero"`
	Parents   int       `json:"parents"`

	Token changestream.PartitionToken `json:"-"`
}

// late is how far behind a partition is when that is worth saying.
const late = time.Minute

// Of describes a view of the tables. Lease is that of the replicas: who was not
// seen for so long is not there.
func Of(stream string, v changestream.View, lease time.Duration) Fleet {
	f := Fleet{Stream: stream, Now: v.Now, Trouble: []string{}}
	for _, r := range v.Replicas {
		f.Replicas = append(f.Replicas, Replica{ID: r.ID, Epoch: r.Epoch, Endpoints: r.Endpoints, Capacity: r.Capacity, LastSeen: r.LastSeen, Live: v.Now.Sub(r.LastSeen) <= lease})
	}
	slices.SortFunc(f.Replicas, func(a, b Replica) int { return cmp.Compare(a.ID, b.ID) })
	for _, p := range v.Partitions {
		f.add(p)
	}
	slices.SortFunc(f.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(order(a.State), order(b.State)), a.Position.Compare(b.Position), cmp.Compare(a.Partition, b.Partition))
	})
	if !f.Resolved.IsZero() {
		f.Lag = f.Now.Sub(f.Resolved).Seconds()
	}
	f.complain()
	return f
}

// order puts finished partitions last.
func order(state string) int {
	if state == string(changestream.Finished) {
		return 1
	}
	return 0
}

func (f *Fleet) add(p changestream.Partition) {
	out := Partition{
		Partition: p.Token.Short(), State: string(p.State), Owner: p.Owner, Epoch: p.Epoch, Position: p.Position,
		Start: p.Start, End: p.End, Parents: len(p.Parents), Token: p.Token,
	}
	if p.Owner != "" {
		out.LeaseLeft = p.Expiry.Sub(f.Now).Seconds()
	}
	switch p.State {
	case changestream.Created:
		f.Counts.Created++
	case changestream.Running:
		f.Counts.Running++
	case changestream.Finished:
		f.Counts.Finished++
	}
	if p.State != changestream.Finished {
		out.Lag = f.Now.Sub(p.Position).Seconds()
		if f.Resolved.IsZero() || p.Position.Before(f.Resolved) {
			f.Resolved = p.Position
		}
		f.charge(out)
	}
	f.Partitions = append(f.Partitions, out)
}

// charge counts a partition for its owner.
func (f *Fleet) charge(p Partition) {
	for i := range f.Replicas {
		r := &f.Replicas[i]
		if r.ID != p.Owner {
			continue
		}
		r.Partitions++
		if r.Oldest.IsZero() || p.Position.Before(r.Oldest) {
			r.Oldest = p.Position
		}
	}
}

// complain finds what is wrong.
func (f *Fleet) complain() {
	say := func(format string, args ...any) { f.Trouble = append(f.Trouble, fmt.Sprintf(format, args...)) }
	if len(f.Partitions) == 0 {
		say("there are no partitions: spancast serve has not read this change stream yet, or SPANCAST_CHANGE_STREAM is not spelt as the stream is")
	}
	if !slices.ContainsFunc(f.Replicas, func(r Replica) bool { return r.Live }) {
		say("no replica is running")
	}
	for _, r := range f.Replicas {
		if !r.Live && r.Partitions > 0 {
			say("replica %s was last seen %s ago and holds %d partitions; others take them when their leases have run out", r.ID, f.ago(r.LastSeen), r.Partitions)
		}
	}
	for _, p := range f.Partitions {
		switch {
		case p.State != string(changestream.Running):
		case p.Owner == changestream.Released && p.LeaseLeft > 0:
			say("partition %s was released and can be taken in %s", p.Partition, Duration(p.LeaseLeft))
		case p.LeaseLeft <= 0:
			say("partition %s is read by nobody, at %s", p.Partition, Time(p.Position))
		case p.Lag > late.Seconds():
			say("partition %s is %s behind, at %s; %s has it, and its log says why", p.Partition, Duration(p.Lag), Time(p.Position), p.Owner)
		}
	}
}

func (f *Fleet) ago(t time.Time) string { return Duration(f.Now.Sub(t).Seconds()) }

// Duration writes seconds for people.
func Duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d.Abs() < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// Time writes a time for people, nothing for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
