package changestream

import "time"

// load tells how many partitions each replica reads, by its id. Partitions
// that have ended, and wait to be finished, are no work any more.
func (g *Graph) load(now time.Time) map[string]int {
	out := make(map[string]int)
	for _, n := range g.nodes {
		if n.State != Finished && n.End.IsZero() && (g.own(n) || n.ownedAt(now)) {
			out[n.Owner]++
		}
	}
	return out
}

// lapsed returns the replicas that let a lease run out, and when the latest did.
// They are not there, whatever else they have said before that.
func (g *Graph) lapsed(now time.Time) map[string]time.Time {
	out := make(map[string]time.Time)
	for _, n := range g.nodes {
		if n.State != Finished && n.Owner != "" && !g.own(n) && !n.Expiry.After(now) {
			out[n.Owner] = later(out[n.Owner], n.Expiry)
		}
	}
	return out
}

// nextExpiry is when the next lease of another replica runs out, if it is not
// renewed; zero if there is none.
func (g *Graph) nextExpiry(now time.Time) (next time.Time) {
	for _, n := range g.nodes {
		if n.State != Finished && !g.own(n) && n.ownedAt(now) && (next.IsZero() || n.Expiry.Before(next)) {
			next = n.Expiry
		}
	}
	return next
}

// HandedOver says that this replica gave the partition to another, which reads
// on from where it was published.
func (g *Graph) HandedOver(token PartitionToken, to string, epoch int64, expiry time.Time) {
	if n := g.nodes[token]; n != nil {
		n.Owner, n.Epoch, n.Expiry, n.End = to, epoch, expiry, time.Time{}
	}
}

// heir tells whether a partition comes from one that this replica has read to
// its end, and that is not finished yet. It goes on with the children at once,
// whatever its share; and until then they stay with it: when it dies, the last of
// the parent may have to be published again, before the rest of the children.
func (g *Graph) heir(child *Partition) bool {
	for _, parent := range child.Parents {
		if p := g.nodes[parent]; p != nil && g.own(p) && !p.End.IsZero() {
			return true
		}
	}
	return false
}
