package changestream

import (
	"cmp"
	"slices"
	"time"
)

// GraphOptions set the rules of a Graph.
type GraphOptions struct {
	Self string // the replica that asks
	// Gate makes every partition wait until all others have reached its start.
	// Google's emulator needs it: there a key's next change need not come from
	// a child of the partition that had the last one.
	Gate bool
	// Mutable says that key ranges move between partitions that live on: who
	// is read, and when, follows from moves.go then.
	Mutable bool
	// Retention is how long the stream keeps records: a parent that ended
	// longer ago, and of which nothing is known, can never be read.
	Retention time.Duration
	// Keep is how long finished partitions are kept.
	Keep time.Duration
}

// A Graph knows the partitions of a stream, who owns them, and what follows
// from that. It is a state machine without clock, goroutine or I/O: facts go in,
// time among them, and decisions come out.
//
// The rules are those of the change stream documentation ("Change stream
// partitions, records, and queries"): a partition is read only after all its
// parents were read to their end, so that the changes of a key stay in order
// over splits and merges; and of D3 and D4 in DESIGN.md.
type Graph struct {
	opt   GraphOptions
	nodes map[PartitionToken]*node
}

type node struct {
	Partition
	children []PartitionToken // as far as they are known
	// vouchers are the own partitions that named this one, as long as it is not
	// in the store; it is to be stored with the end of the first.
	vouchers []PartitionToken

	saved time.Time   // position in the store
	outs  []departure // of an own partition, behind its position
}

// NewGraph returns an empty graph.
func NewGraph(opt GraphOptions) *Graph {
	return &Graph{opt: opt, nodes: make(map[PartitionToken]*node)}
}

// Partition returns what the graph knows of a partition.
func (g *Graph) Partition(token PartitionToken) (Partition, bool) {
	n := g.nodes[token]
	if n == nil {
		return Partition{}, false
	}
	return n.Partition, true
}

// Len is the number of partitions known.
func (g *Graph) Len() int { return len(g.nodes) }

// Owned returns the partitions that this replica owns, oldest first.
func (g *Graph) Owned() []Partition {
	return g.list(func(n *node) bool { return g.own(n) })
}

func (g *Graph) own(n *node) bool { return n.Owner == g.opt.Self && n.State != Finished }

// list returns the partitions that are of a kind, oldest first.
func (g *Graph) list(of func(*node) bool) []Partition {
	var out []Partition
	for _, n := range g.nodes {
		if of(n) {
			out = append(out, n.Partition)
		}
	}
	slices.SortFunc(out, func(a, b Partition) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Token, b.Token))
	})
	return out
}

// Load takes over what the store holds. Of its own partitions this replica
// knows better how far they are; those that the store gives to somebody else
// are returned as lost.
func (g *Graph) Load(rows []Partition) (lost []PartitionToken) {
	old := g.nodes
	g.nodes = make(map[PartitionToken]*node, len(rows))
	for _, row := range rows {
		n := &node{Partition: row, saved: row.Position}
		if was := old[row.Token]; was != nil && g.own(was) {
			switch {
			case row.Epoch == was.Epoch && row.Owner == g.opt.Self:
				n.Position, n.End, n.Expiry, n.outs = later(was.Position, row.Position), was.End, was.Expiry, was.outs
			case row.Epoch == was.Epoch && row.State == Finished: // by this replica itself
			default:
				lost = append(lost, row.Token)
			}
		}
		g.nodes[row.Token] = n
	}
	for token, was := range old {
		if g.nodes[token] != nil {
			continue
		}
		if len(was.vouchers) > 0 {
			g.nodes[token] = was
		} else if g.own(was) {
			lost = append(lost, token)
		}
	}
	for _, token := range lost {
		g.unvouch(token)
	}
	g.link()
	slices.Sort(lost)
	return lost
}

// link finds the children of every partition anew.
func (g *Graph) link() {
	for _, n := range g.nodes {
		n.children = nil
	}
	for token, n := range g.nodes {
		for _, parent := range n.Parents {
			if p := g.nodes[parent]; p != nil {
				p.children = append(p.children, token)
			}
		}
	}
}

// Ended says that an own partition was read to its end and published up to it,
// and which children it named. They are new partitions unless they are known.
func (g *Graph) Ended(token PartitionToken, end time.Time, children []ChildPartition) {
	n := g.nodes[token]
	if n == nil || !g.own(n) {
		return
	}
	n.End, n.Position = end, later(n.Position, end)
	for _, child := range children {
		g.vouch(token, Partition{Token: child.Token, Parents: child.Parents, Start: end, Position: end, State: Created})
	}
	g.link()
}

// vouch makes a partition known that an own one has named, unless it is stored.
func (g *Graph) vouch(by PartitionToken, p Partition) {
	n := g.nodes[p.Token]
	if n == nil {
		n = &node{Partition: p}
		g.nodes[p.Token] = n
	} else if len(n.vouchers) == 0 {
		return // stored
	}
	if !slices.Contains(n.vouchers, by) {
		n.vouchers = append(n.vouchers, by)
	}
}

// Unsaved returns the partitions that are to be stored together with this one.
func (g *Graph) Unsaved(parent PartitionToken) []Partition {
	return g.list(func(n *node) bool { return len(n.vouchers) > 0 && n.vouchers[0] == parent })
}

// Saved says that what a partition named is in the store.
func (g *Graph) Saved(parent PartitionToken) {
	for _, n := range g.nodes {
		if len(n.vouchers) > 0 && n.vouchers[0] == parent {
			n.vouchers = nil
		}
	}
}

// unvouch forgets what a partition named, now that it is another's to name.
func (g *Graph) unvouch(parent PartitionToken) {
	for token, n := range g.nodes {
		i := slices.Index(n.vouchers, parent)
		if i < 0 {
			continue
		}
		if n.vouchers = slices.Delete(n.vouchers, i, i+1); len(n.vouchers) == 0 {
			delete(g.nodes, token)
		}
	}
}

// Taken says that this replica owns the partition now.
func (g *Graph) Taken(token PartitionToken, epoch int64, expiry time.Time) {
	if n := g.nodes[token]; n != nil {
		n.Owner, n.Epoch, n.Expiry, n.State, n.End = g.opt.Self, epoch, expiry, Running, time.Time{}
	}
}

// Renewed says until when this replica owns the partition.
func (g *Graph) Renewed(token PartitionToken, expiry time.Time) {
	if n := g.nodes[token]; n != nil {
		n.Expiry = expiry
	}
}

// Lost says that this replica does not own the partition any more, whoever
// does. Children that it was about to store are for the new owner to find.
func (g *Graph) Lost(token PartitionToken) {
	n := g.nodes[token]
	if n == nil {
		return
	}
	n.Owner, n.Expiry = "", time.Time{}
	g.unvouch(token)
	g.link()
}

// Advance says how far an own partition was published.
func (g *Graph) Advance(token PartitionToken, position time.Time) {
	if n := g.nodes[token]; n != nil && g.own(n) {
		n.Position = later(n.Position, position)
	}
}

// Finish says that an ended partition is finished.
func (g *Graph) Finish(token PartitionToken, now time.Time) {
	if n := g.nodes[token]; n != nil {
		n.State, n.Owner, n.Expiry, n.FinishedAt = Finished, "", time.Time{}, now
	}
}

// Startable returns the partitions that this replica may take and read now,
// oldest first: nobody owns them, and their turn has come.
func (g *Graph) Startable(now time.Time) []Partition {
	lowest, _ := g.lowest(now)
	return g.list(func(n *node) bool {
		if n.State == Finished || g.own(n) || n.ownedAt(now) {
			return false
		}
		for _, parent := range n.Parents {
			if !g.opt.Mutable && !g.done(parent, n, now) {
				return false
			}
		}
		gated := g.opt.Gate && !g.opt.Mutable || len(n.Parents) == 0
		return n.State != Created || !gated || !lowest.Before(n.Start)
	})
}

// done tells whether nothing that comes before the child is to be expected from
// a parent: it is finished, or it has ended and is this replica's, which then
// dies together with what it reads of the child. What another replica has
// published last could be lost with that one. A parent that
// is not known was not discovered yet, in a merge for example; only if it ended
// beyond retention, it never will be. Of a child that was begun already the
// parent was known, so it was finished, and removed since.
func (g *Graph) done(parent PartitionToken, child *node, now time.Time) bool {
	p := g.nodes[parent]
	if p == nil {
		return child.State != Created || child.Start.Before(now.Add(-g.opt.Retention))
	}
	return p.State == Finished || g.own(p) && !p.End.IsZero()
}

// ended tells whether a partition was read to its end by one who still stands
// for what he published.
func (g *Graph) ended(n *node, now time.Time) bool {
	return !n.End.IsZero() && (g.own(n) || n.ownedAt(now))
}

// lowest is the lowest position of the partitions that are still to be read,
// by whomever; not ok when there are none.
func (g *Graph) lowest(now time.Time) (lowest time.Time, ok bool) {
	return g.lowestOf(now, func(*node) bool { return true })
}

func (g *Graph) lowestOf(now time.Time, of func(*node) bool) (lowest time.Time, ok bool) {
	for _, n := range g.nodes {
		if n.State == Finished || g.ended(n, now) || !of(n) {
			continue
		}
		if !ok || n.Position.Before(lowest) {
			lowest, ok = n.Position, true
		}
	}
	return lowest, ok
}

// Others returns the lowest position of those partitions that others read, or
// that nobody reads yet; not ok when there are none. What this replica reads
// itself is further than the graph knows.
func (g *Graph) Others(now time.Time) (lowest time.Time, ok bool) {
	return g.lowestOf(now, func(n *node) bool { return !g.own(n) })
}

// Removable returns finished partitions that were kept long enough and that
// nobody needs: their parents are finished, so none will name them again, and
// their children have started, so none waits for them.
func (g *Graph) Removable(now time.Time) []PartitionToken {
	var out []PartitionToken
	for token, n := range g.nodes {
		if n.State == Finished && n.FinishedAt.Add(g.opt.Keep).Before(now) && g.forgettable(n) {
			out = append(out, token)
		}
	}
	slices.Sort(out)
	return out
}

func (g *Graph) forgettable(n *node) bool {
	if g.opt.Mutable {
		return g.behindAll(n)
	}
	for _, parent := range n.Parents {
		if p := g.nodes[parent]; p != nil && p.State != Finished {
			return false
		}
	}
	for _, child := range n.children {
		if g.nodes[child].State == Created {
			return false
		}
	}
	return true
}

// Remove forgets partitions that the store has removed.
func (g *Graph) Remove(tokens []PartitionToken) {
	for _, token := range tokens {
		delete(g.nodes, token)
	}
	g.link()
}

// ChildrenStart tells whether a child of the partition is known, and when it
// starts: there the partition ended.
func (g *Graph) ChildrenStart(token PartitionToken) (time.Time, bool) {
	n := g.nodes[token]
	if n == nil || len(n.children) == 0 {
		return time.Time{}, false
	}
	return g.nodes[n.children[0]].Start, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
