package checkpoint

import (
	"fmt"

	"github.com/spancast/spancast/changestream"
)

// Spanner takes so many mutations in one commit, and counts each column of each
// row that is written.
const maxMutations = 80_000

// What parts of a commit cost at most, in mutations.
var (
	costOfUpdate    = len(updateColumns) + len(movedColumns)
	costOfPartition = len(partitionColumns)
	costOfTake      = len(updateColumns)
	costOfReplica   = len(replicaColumns)
)

// split divides a commit into several that Spanner can take, in order. Each part
// has its own condition anyway, so that nothing is lost but that all come at once:
// an update stays together with the partitions that come with it, and the initial
// partitions, of which a few would count as all, stay together too. What says
// that replicas have come or gone is in the last.
func split(c changestream.Commit, most int) []changestream.Commit {
	out := []changestream.Commit{{Owner: c.Owner, Now: c.Now, Roots: c.Roots}}
	spent := costOfPartition * len(c.Roots)
	room := func(cost int) *changestream.Commit {
		if spent+cost > most && spent > 0 {
			out, spent = append(out, changestream.Commit{Owner: c.Owner, Now: c.Now}), 0
		}
		spent += cost
		return &out[len(out)-1]
	}
	for _, u := range c.Updates {
		part := room(costOfUpdate + costOfPartition*len(u.Children))
		part.Updates = append(part.Updates, u)
	}
	for _, t := range c.Takes {
		part := room(costOfTake)
		part.Takes = append(part.Takes, t)
	}
	for _, token := range c.Remove {
		part := room(1)
		part.Remove = append(part.Remove, token)
	}
	last := room(2*costOfReplica + len(c.Gone) + 1)
	last.Replica, last.Gone, last.Ended = c.Replica, c.Gone, c.Ended
	return out
}

// storable tells whether initial partitions can be stored: together, or some of
// them would be taken for all.
func (s *Spanner) storable(roots []changestream.Partition) error {
	if n := maxMutations / costOfPartition; len(roots) > n {
		return &changestream.Error{Op: "write", Thing: "table " + s.tables.Partitions, Cause: changestream.Refused,
			Err: fmt.Errorf("the change stream has %d partitions, and no more than %d can be stored at once", len(roots), n)}
	}
	return nil
}
