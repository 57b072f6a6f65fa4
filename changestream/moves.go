package changestream

import (
	"slices"
	"time"
)

// The rules of MUTABLE_KEY_RANGE streams, whose partitions live on while keys
// move between them (google.spanner.v1.ChangeStreamRecord, PartitionEventRecord):
//
//   - A partition start record announces partitions. They are stored before the
//     position of the one that announced them can pass it, and read at once:
//     the one whose keys they take lives on.
//   - At a move-in, the destination goes no further before everything that the
//     sources had up to then was published; MayPass decides.
//
// Nobody waits for ever: who waits at a time has published everything before it,
// so that others wait for him only at that same time, and there he has told of
// what he gave: to his own replica when it is published, to others when that can
// be lost no more. Whoever waits at the lowest time waits for partitions that
// are read, and that do not wait.

// A departure is a move of keys out of an own partition, published up to it.
type departure struct {
	from      PartitionToken
	at        time.Time
	to        []PartitionToken
	published time.Time // when it was
}

// Announced says that an own partition has named partitions that start at a
// time. They are new unless they are known.
func (g *Graph) Announced(by PartitionToken, at time.Time, tokens []PartitionToken) {
	g.announce(by, at, tokens, []PartitionToken{by})
}

// Rejoined says that an initial query has named the partitions that live at a
// time at which an own one is taken up again, behind a gap. Those that are new
// began in the gap.
func (g *Graph) Rejoined(by PartitionToken, at time.Time, tokens []PartitionToken) {
	g.announce(by, at, tokens, nil)
}

func (g *Graph) announce(by PartitionToken, at time.Time, tokens, parents []PartitionToken) {
	if n := g.nodes[by]; n == nil || !g.own(n) {
		return
	}
	for _, token := range tokens {
		if token != by {
			g.vouch(by, Partition{Token: token, Parents: parents, Start: at, Position: at, State: Created})
		}
	}
	g.link()
}

// Stored tells whether partitions are in the store.
func (g *Graph) Stored(tokens []PartitionToken) bool {
	return !slices.ContainsFunc(tokens, func(t PartitionToken) bool {
		n := g.nodes[t]
		return n == nil || len(n.vouchers) > 0
	})
}

// MovedOut says that an own partition was published up to a move of keys to
// others.
func (g *Graph) MovedOut(d departure) {
	n := g.nodes[d.from]
	if n == nil || !g.own(n) {
		return
	}
	n.outs = slices.DeleteFunc(n.outs, func(o departure) bool { return o.at.Before(n.Position) })
	n.outs = append(n.outs, d)
}

// Departed is what an own partition gave to others at a time, of what was
// published by some other time.
func (g *Graph) Departed(token PartitionToken, at, published time.Time) (to []PartitionToken) {
	n := g.nodes[token]
	if n == nil || !g.own(n) {
		return nil
	}
	for _, d := range n.outs {
		if d.at.Equal(at) && !d.published.After(published) {
			to = append(to, d.to...)
		}
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// MayPass tells whether a partition that keys move into, at a time, may be
// published beyond it: whether everything that the sources had up to then was.
func (g *Graph) MayPass(token PartitionToken, at time.Time, sources []PartitionToken, now time.Time) bool {
	return !slices.ContainsFunc(sources, func(source PartitionToken) bool {
		n := g.nodes[source]
		if n == nil {
			return !g.unreachable(token, at, now)
		}
		return !g.gave(n, token, at)
	})
}

// gave tells whether everything that a source had up to a time, and that comes
// before what the destination has, was published. Of a partition that another
// replica reads only what is saved counts: what its owner has published since
// could be lost with him, and be published again after what is published here.
// An own partition and this one have the same owner, whose socket keeps the
// order, and whose positions are saved together.
func (g *Graph) gave(source *node, to PartitionToken, at time.Time) bool {
	switch {
	case source.State == Finished:
		return true
	case !g.own(source):
		return source.saved.After(at) || source.MovedAt.Equal(at) && slices.Contains(source.MovedTo, to)
	case source.Position.After(at), !source.End.IsZero():
		return true
	}
	return slices.ContainsFunc(source.outs, func(o departure) bool {
		return !o.at.Before(at) && slices.Contains(o.to, to)
	})
}

// unreachable tells whether a source that is not known never will be. It cannot
// have been removed, see behindAll. It lived before the reading began, if the
// move was where this partition was found by an initial query; or it is beyond
// retention. Otherwise the partition that announces it is still behind.
func (g *Graph) unreachable(token PartitionToken, at, now time.Time) bool {
	n := g.nodes[token]
	if n != nil && len(n.Parents) == 0 && !at.After(n.Start) {
		return true
	}
	return at.Before(now.Add(-g.opt.Retention))
}

// behindAll tells whether all that is still to be read has come after a
// finished partition, by the positions that are saved: nobody will announce it
// again, nor see keys move in from it.
func (g *Graph) behindAll(finished *node) bool {
	for _, n := range g.nodes {
		if n.State != Finished && !n.saved.After(finished.End) {
			return false
		}
	}
	return true
}
