package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/engine"
	"github.com/spancast/spancast/emulator/internal/store"
)

// spannerService is the Spanner service.
type spannerService struct {
	sppb.UnimplementedSpannerServer
	*Server
}

func (s *spannerService) newSession(db *database, template *sppb.Session) *sppb.Session {
	id := make([]byte, 12)
	rand.Read(id) // it never fails, as its documentation says
	now := timestamppb.New(db.Now())
	return &sppb.Session{Name: db.Name + "/sessions/" + hex.EncodeToString(id), Labels: template.GetLabels(), CreatorRole: template.GetCreatorRole(),
		Multiplexed: template.GetMultiplexed(), CreateTime: now, ApproximateLastUseTime: now}
}

func (s *spannerService) CreateSession(_ context.Context, r *sppb.CreateSessionRequest) (*sppb.Session, error) {
	db, err := s.database(r.GetDatabase())
	if err != nil {
		return nil, err
	}
	return s.newSession(db, r.GetSession()), nil
}

func (s *spannerService) BatchCreateSessions(_ context.Context, r *sppb.BatchCreateSessionsRequest) (*sppb.BatchCreateSessionsResponse, error) {
	db, err := s.database(r.GetDatabase())
	if err != nil {
		return nil, err
	}
	if r.GetSessionCount() < 1 {
		return nil, invalid("session_count must be at least 1.")
	}
	out := &sppb.BatchCreateSessionsResponse{}
	for range min(r.GetSessionCount(), 100) {
		out.Session = append(out.Session, s.newSession(db, r.GetSessionTemplate()))
	}
	return out, nil
}

func (s *spannerService) GetSession(_ context.Context, r *sppb.GetSessionRequest) (*sppb.Session, error) {
	db, err := s.database(r.GetName())
	if err != nil {
		return nil, err
	}
	return &sppb.Session{Name: r.GetName(), CreateTime: timestamppb.New(db.Created), ApproximateLastUseTime: timestamppb.New(db.Now())}, nil
}

func (s *spannerService) ListSessions(_ context.Context, r *sppb.ListSessionsRequest) (*sppb.ListSessionsResponse, error) {
	_, err := s.database(r.GetDatabase())
	return &sppb.ListSessionsResponse{}, err
}

func (s *spannerService) DeleteSession(_ context.Context, r *sppb.DeleteSessionRequest) (*emptypb.Empty, error) {
	_, err := s.database(r.GetName())
	return &emptypb.Empty{}, err
}

func (s *spannerService) BeginTransaction(ctx context.Context, r *sppb.BeginTransactionRequest) (*sppb.Transaction, error) {
	db, err := s.database(r.GetSession())
	if err != nil {
		return nil, err
	}
	t, err := s.begin(ctx, db, r.GetOptions(), r.GetRequestOptions().GetTransactionTag())
	if err != nil {
		return nil, err
	}
	return describe(t), nil
}

// describe is a transaction as the API returns it.
func describe(t *transaction) *sppb.Transaction {
	out := &sppb.Transaction{Id: []byte(t.id), PrecommitToken: t.precommitToken()}
	if t.options.GetReadOnly().GetReturnReadTimestamp() {
		out.ReadTimestamp = timestamppb.New(changes.Time(t.ReadTimestamp()))
	}
	return out
}

// begin starts a transaction of any mode.
func (s *spannerService) begin(ctx context.Context, db *database, o *sppb.TransactionOptions, tag string) (*transaction, error) {
	switch mode := o.GetMode().(type) {
	case *sppb.TransactionOptions_ReadOnly_:
		if o.GetExcludeTxnFromChangeStreams() {
			return nil, invalid("exclude_txn_from_change_streams can only be set for read-write and partitioned DML transactions.")
		}
		if mode.ReadOnly.GetMinReadTimestamp() != nil || mode.ReadOnly.GetMaxStaleness() != nil {
			return nil, invalid("min_read_timestamp and max_staleness are only allowed in single-use transactions.")
		}
		at, err := readTimestamp(ctx, db, mode.ReadOnly)
		if err != nil {
			return nil, err
		}
		return db.txns.begin(db.Database, o, db.Snapshot(at), tag), nil
	case *sppb.TransactionOptions_ReadWrite_, *sppb.TransactionOptions_PartitionedDml_:
		return db.txns.begin(db.Database, o, db.Begin(), tag), nil
	}
	return nil, invalid("The transaction's mode is missing.")
}

// readTimestamp turns a timestamp bound into a timestamp, and waits for one
// that lies in the future.
func readTimestamp(ctx context.Context, db *database, o *sppb.TransactionOptions_ReadOnly) (store.Timestamp, error) {
	var at time.Time
	switch bound := o.GetTimestampBound().(type) {
	case nil, *sppb.TransactionOptions_ReadOnly_Strong, *sppb.TransactionOptions_ReadOnly_MinReadTimestamp, *sppb.TransactionOptions_ReadOnly_MaxStaleness:
		min := o.GetMinReadTimestamp()
		if min == nil || !min.AsTime().After(db.Now()) {
			return db.StrongRead(), nil
		}
		at = min.AsTime()
	case *sppb.TransactionOptions_ReadOnly_ReadTimestamp:
		at = bound.ReadTimestamp.AsTime()
	case *sppb.TransactionOptions_ReadOnly_ExactStaleness:
		if bound.ExactStaleness.AsDuration() < 0 {
			return 0, invalid("exact_staleness must not be negative.")
		}
		at = db.Now().Add(-bound.ExactStaleness.AsDuration())
	}
	if wait := at.Sub(db.Now()); wait > time.Hour {
		return 0, invalid("Cannot read at %s: it is too far in the future.", at)
	}
	for wait := at.Sub(db.Now()); wait > 0; wait = at.Sub(db.Now()) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, ctx.Err()
		case <-timer.C:
		}
	}
	stamp := store.Timestamp(at.UnixMicro())
	db.Close(stamp)
	return stamp, db.CheckRead(stamp)
}

// work is a transaction for the length of one request.
type work struct {
	*engine.Txn
	named *transaction // nil for single use
	begun bool         // by this request
	open  bool         // the named transaction is locked by this request
	db    *database
}

// release lets other requests have the transaction. Reads of a read-only one
// do not need it; a read-write one is released before its rows are sent, because
// a client may well use it again before it has taken them all.
func (w *work) release() {
	if w.open {
		w.open = false
		w.named.Unlock()
	}
}

// done ends the request; a transaction that it began is dropped on an error.
func (w *work) done(err error) {
	if w.named == nil {
		return
	}
	w.release()
	if err != nil && w.begun {
		w.db.txns.forget(w.named)
	}
}

// metadata is what a result says of its transaction.
func (w *work) metadata(selector *sppb.TransactionSelector) *sppb.Transaction {
	if w.begun {
		return describe(w.named)
	}
	if w.named == nil && selector.GetSingleUse().GetReadOnly().GetReturnReadTimestamp() {
		return &sppb.Transaction{ReadTimestamp: timestamppb.New(changes.Time(w.ReadTimestamp()))}
	}
	return nil
}

// work finds or begins the transaction that a request selects.
func (s *spannerService) work(ctx context.Context, session string, selector *sppb.TransactionSelector, tag string) (*work, error) {
	db, err := s.database(session)
	if err != nil {
		return nil, err
	}
	w := &work{db: db}
	switch sel := selector.GetSelector().(type) {
	case nil:
		w.Txn = db.Snapshot(db.StrongRead())
	case *sppb.TransactionSelector_SingleUse:
		if sel.SingleUse.GetReadOnly() == nil {
			return nil, invalid("Only read-only transactions can be used for a single query or read.")
		}
		at, err := readTimestamp(ctx, db, sel.SingleUse.GetReadOnly())
		if err != nil {
			return nil, err
		}
		w.Txn = db.Snapshot(at)
	case *sppb.TransactionSelector_Begin:
		if w.named, err = s.begin(ctx, db, sel.Begin, tag); err != nil {
			return nil, err
		}
		w.begun, w.Txn = true, w.named.Txn
		w.named.Lock()
		w.open = true
	case *sppb.TransactionSelector_Id:
		if w.named, err = db.txns.find(sel.Id); err != nil {
			return nil, err
		}
		if err := db.txns.over(w.named); err != nil {
			w.named.Unlock()
			return nil, retrySoon(err)
		}
		w.Txn, w.open = w.named.Txn, true
	}
	return w, nil
}

func (s *spannerService) Commit(ctx context.Context, r *sppb.CommitRequest) (*sppb.CommitResponse, error) {
	db, err := s.database(r.GetSession())
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, s.config.Faults.Get().CommitDelay); err != nil {
		return nil, err
	}
	tag := r.GetRequestOptions().GetTransactionTag()
	var t *transaction
	switch tx := r.GetTransaction().(type) {
	case *sppb.CommitRequest_SingleUseTransaction:
		if tx.SingleUseTransaction.GetReadWrite() == nil {
			return nil, invalid("Only a read-write transaction can be committed.")
		}
		t = db.txns.begin(db.Database, tx.SingleUseTransaction, db.Begin(), tag)
		t.Lock()
	case *sppb.CommitRequest_TransactionId:
		if t, err = db.txns.find(tx.TransactionId); err != nil {
			return nil, err
		}
	default:
		return nil, invalid("The transaction to commit is missing.")
	}
	defer t.Unlock()
	if t.committed != nil { // a retry of a commit whose answer was lost
		return t.committed, nil
	}
	if err := db.txns.over(t); err != nil {
		return nil, retrySoon(err)
	}
	if t.ReadOnly() || t.partitioned {
		return nil, grpcstatus.Error(codes.FailedPrecondition, "Cannot commit a read-only or partitioned DML transaction.")
	}
	return s.commit(db, t, r, tag)
}

func (s *spannerService) commit(db *database, t *transaction, r *sppb.CommitRequest, tag string) (*sppb.CommitResponse, error) {
	if tag == "" {
		tag = t.tag
	}
	err := error(nil)
	var done engine.Committed
	if s.config.Faults.AbortNow() {
		err = engine.Aborted("the emulator was asked to abort it")
	} else {
		done, err = t.Commit(r.GetMutations(), engine.CommitOptions{Tag: tag, Exclude: t.options.GetExcludeTxnFromChangeStreams()})
	}
	if err != nil {
		db.txns.end(t, err)
		return nil, retrySoon(err)
	}
	t.committed = &sppb.CommitResponse{CommitTimestamp: timestamppb.New(done.At)}
	if r.GetReturnCommitStats() {
		t.committed.CommitStats = &sppb.CommitResponse_CommitStats{MutationCount: done.Mutations}
	}
	db.txns.end(t, grpcstatus.Error(codes.FailedPrecondition, "The transaction has already been committed."))
	t.Txn = db.Snapshot(0) // lets go of its reads and writes; not before its turn has ended
	return t.committed, nil
}

func (s *spannerService) Rollback(_ context.Context, r *sppb.RollbackRequest) (*emptypb.Empty, error) {
	db, err := s.database(r.GetSession())
	if err != nil {
		return nil, err
	}
	t, err := db.txns.find(r.GetTransactionId())
	if err != nil { // already forgotten: there is nothing to undo
		return &emptypb.Empty{}, nil
	}
	defer t.Unlock()
	if t.committed != nil {
		return nil, grpcstatus.Error(codes.FailedPrecondition, "Cannot rollback a transaction after Commit() has been called.")
	}
	if db.txns.over(t) == nil {
		t.Txn.Restart()
		db.txns.end(t, engine.Aborted("it was rolled back"))
	}
	return &emptypb.Empty{}, nil
}

// BatchWrite commits each group of mutations for itself.
func (s *spannerService) BatchWrite(r *sppb.BatchWriteRequest, stream sppb.Spanner_BatchWriteServer) error {
	db, err := s.database(r.GetSession())
	if err != nil {
		return err
	}
	for i, group := range r.GetMutationGroups() {
		if err := pause(stream.Context(), s.config.Faults.Get().CommitDelay); err != nil {
			return err
		}
		var done engine.Committed
		err := engine.Aborted("the emulator was asked to abort it")
		if !s.config.Faults.AbortNow() {
			done, err = db.Begin().Commit(group.GetMutations(), engine.CommitOptions{Tag: r.GetRequestOptions().GetTransactionTag(), Exclude: r.GetExcludeTxnFromChangeStreams()})
		}
		reply := &sppb.BatchWriteResponse{Indexes: []int32{int32(i)}, Status: &status.Status{}}
		if err != nil {
			reply.Status = grpcstatus.Convert(err).Proto()
		} else {
			reply.CommitTimestamp = timestamppb.New(done.At)
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
	return nil
}

// pause waits unless the request ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
