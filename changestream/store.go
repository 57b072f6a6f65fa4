package changestream

import (
	"context"
	"time"
)

// A Store keeps partitions and replicas where all replicas see them. Every
// replica of a stream uses the same one; its clock is the only one they share.
type Store interface {
	// View reads all of it at one instant.
	View(ctx context.Context) (View, error)
	// Present reads the ids of the replicas alone. It is asked several times a
	// second, so that who comes or goes is noticed soon.
	Present(ctx context.Context) (ids []string, err error)
	// Commit applies c in one transaction; in several, each part in one of them, if
	// it is larger than the store takes. Parts whose condition does not hold
	// (another owner or epoch) are left out and named in the result; the rest
	// is applied. On an error nothing is known to have been applied.
	Commit(ctx context.Context, c Commit) (Result, error)
}

// A View is what a Store held at the time Now of its own clock.
type View struct {
	Now        time.Time
	Partitions []Partition
	Replicas   []Replica
	Ended      []Replica // that have ended in order, lately: for EndedFor
	Outdated   []string  // ids of rows of replicas that nobody needs any more
}

// EndedFor is how long a replica that has ended in order is remembered. It may
// have come, published and gone between two looks of everybody else; their
// subscribers are told that there was one.
const EndedFor = time.Minute

// A Commit is what one replica wants to change.
type Commit struct {
	Owner string    // the replica
	Now   time.Time // its estimate of the store's clock, never ahead of it

	// Roots are the partitions that an initial query named. They are stored
	// only if the stream has no partitions yet.
	Roots []Partition
	// Updates and Takes are conditional, each on its own.
	Updates []Update
	Takes   []Take
	// Remove names finished partitions that nobody needs.
	Remove []PartitionToken
	// Gone names replicas to be forgotten.
	Gone []string
	// Replica is the row of this replica, when it is to be written.
	Replica *Replica
	// Ended is this replica, when it ends in order: its row goes, and is
	// remembered among View.Ended.
	Ended *Replica
}

// An Update changes a partition that the replica owns at Epoch.
type Update struct {
	Token    PartitionToken
	Epoch    int64
	Position time.Time
	Expiry   time.Time // zero gives the partition back
	End      time.Time // zero while it has not ended
	MovedAt  time.Time // zero leaves MovedAt and MovedTo as they are
	MovedTo  []PartitionToken
	Finished bool
	// To names the replica that the partition is handed to: it is the owner of
	// the next epoch, until Expiry, and an end counts no more. If that replica is
	// not known any more, the partition is given back instead.
	To string
	// Children are stored with the end of their parent, or with a position that
	// is not behind where it named them, each unless there is a partition of its
	// token already. Those whose Owner is set are taken with it.
	Children []Partition
}

// A Take makes the replica the owner of a partition that was seen at Epoch and
// is not owned by another: the next epoch begins, and an end that the last owner
// had reached, but not finished, counts no more. A replica may take what is its
// own already, to begin anew with what it had let slip.
type Take struct {
	Token  PartitionToken
	Epoch  int64
	Expiry time.Time
}

// A Result says which parts of a Commit were left out.
type Result struct {
	RootsExist bool             // there were partitions already
	Lost       []PartitionToken // updates of partitions that another owns
	NotTaken   []PartitionToken // takes that came too late, children included
}
