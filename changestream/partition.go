package changestream

import "time"

// State is where a partition is in its life.
type State string

// The states of a partition.
const (
	Created  State = "CREATED"  // known, and not read yet
	Running  State = "RUNNING"  // being read, or to be read on
	Finished State = "FINISHED" // read to its end, and safely published
)

// A Partition is what is known of one partition of the change stream: a row of
// the partitions table.
//
// Between Running and Finished stands a partition that has ended: End is set,
// its children are stored with it, everything was handed to the socket, and its
// owner only waits until nothing of that can be lost any more by its death.
type Partition struct {
	Token PartitionToken
	// Parents are those that it took its keys from or, in a MUTABLE_KEY_RANGE
	// stream, the one that announced it; none if an initial query named it.
	Parents []PartitionToken
	Start   time.Time // its records are of this time or later
	End     time.Time // and before this one; zero until it was read to there
	State   State
	// Position is where to read on: every change committed before it was
	// published. It never moves back.
	Position time.Time
	// MovedTo are the partitions that it gave keys to at MovedAt, when it had to
	// wait there itself: whatever those have to wait for was published, and can
	// be lost no more. Only for MUTABLE_KEY_RANGE streams.
	MovedAt time.Time
	MovedTo []PartitionToken

	Owner      string // replica that may read and publish it; empty when nobody's
	Epoch      int64  // counts its owners; 0 before the first
	Expiry     time.Time
	CreatedAt  time.Time
	FinishedAt time.Time
}

// Released is the owner of a partition that an operator has taken away from a
// replica, until the lease that this one had runs out: until then it may not
// have noticed.
const Released = "(released)"

// ownedAt tells whether a replica may still hold the partition.
func (p *Partition) ownedAt(now time.Time) bool {
	return p.Owner != "" && p.Expiry.After(now)
}

// A Replica is one process that reads the change stream: a row of the replicas
// table.
type Replica struct {
	ID        string
	Epoch     string   // of its publisher, 16 hex digits
	Endpoints []string // that subscribers can connect to
	Recover   []string // endpoints of its recovery
	Capacity  int      // most partitions that it takes; 0: no limit
	LastSeen  time.Time
}
