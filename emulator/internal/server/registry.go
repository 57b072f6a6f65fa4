package server

import (
	"strconv"
	"sync"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/spancast/spancast/emulator/internal/engine"
)

const (
	keptTransactions  = 4096 // ended ones, for retries of their commit
	openTransactions  = 8192 // open ones; the oldest is aborted for a further one
	attemptsUntilTurn = 3
)

// transaction is a transaction that has an id.
type transaction struct {
	sync.Mutex // held while a request works with it
	*engine.Txn
	id          string
	options     *sppb.TransactionOptions
	tag         string
	attempt     int // how many before it were aborted
	precommit   int32
	replies     map[int64]proto.Message // of DML by sequence number
	committed   *sppb.CommitResponse
	ended       error // what later uses are answered with; nil while open
	partitioned bool
}

// registry holds a database's transactions by id.
type registry struct {
	mu     sync.Mutex
	byID   map[string]*transaction
	open   []string
	closed []string
	next   int64
}

// begin gives a transaction its id.
func (r *registry) begin(db *engine.Database, options *sppb.TransactionOptions, txn *engine.Txn, tag string) *transaction {
	t := &transaction{Txn: txn, options: options, tag: tag, replies: map[int64]proto.Message{}}
	_, t.partitioned = options.GetMode().(*sppb.TransactionOptions_PartitionedDml_)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]*transaction{}
	}
	r.next++
	t.id = strconv.FormatInt(r.next, 36) + "-" + strconv.FormatInt(db.Created.UnixNano(), 36)
	if before := r.byID[string(options.GetReadWrite().GetMultiplexedSessionPreviousTransactionId())]; before != nil {
		t.attempt = before.attempt + 1
	}
	if t.attempt >= attemptsUntilTurn {
		txn.Prioritise()
	}
	r.byID[t.id] = t
	r.open = append(r.open, t.id)
	for len(r.open) > openTransactions {
		r.endLocked(r.byID[r.open[0]], engine.Aborted("too many transactions are open"))
	}
	return t
}

// find gives a transaction by its id; it is locked for the caller.
func (r *registry) find(id []byte) (*transaction, error) {
	r.mu.Lock()
	t := r.byID[string(id)]
	r.mu.Unlock()
	if t == nil {
		return nil, status.Errorf(codes.InvalidArgument, "Transaction not found: %.100q", id)
	}
	t.Lock()
	return t, nil
}

// end notes that a transaction is over.
func (r *registry) end(t *transaction, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endLocked(t, why)
}

func (r *registry) endLocked(t *transaction, why error) {
	if t == nil {
		r.open = r.open[1:]
		return
	}
	t.Release()
	for i, id := range r.open {
		if id == t.id {
			r.open = append(r.open[:i], r.open[i+1:]...)
			r.closed = append(r.closed, id)
			break
		}
	}
	t.ended = why
	for len(r.closed) > keptTransactions {
		delete(r.byID, r.closed[0])
		r.closed = r.closed[1:]
	}
}

// forget drops a transaction whose first statement failed: the client begins
// another one for its retry.
func (r *registry) forget(t *transaction) {
	r.end(t, engine.Aborted("its first statement failed"))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, t.id)
}

// over is the error of using an ended transaction; nil while it is open.
func (r *registry) over(t *transaction) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return t.ended
}

// precommitToken is the next token of a transaction on a multiplexed session.
func (t *transaction) precommitToken() *sppb.MultiplexedSessionPrecommitToken {
	if t == nil || t.ReadOnly() {
		return nil
	}
	t.precommit++
	return &sppb.MultiplexedSessionPrecommitToken{PrecommitToken: []byte(t.id), SeqNum: t.precommit}
}
