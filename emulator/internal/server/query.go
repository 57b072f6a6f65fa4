package server

import (
	"context"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/pg"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/sql"
	"github.com/spancast/spancast/emulator/internal/value"
)

// parse reads a statement in the dialect of its database.
func parse(d schema.Dialect, text string) (ast.Statement, error) {
	if d == schema.PostgreSQL {
		google, err := pg.Query(text)
		if err != nil {
			return nil, err
		}
		text = google
	}
	return sql.Parse(text)
}

// statement is one statement to run.
type statement struct {
	text   string
	params sql.Params
	seqno  int64
	plan   bool
}

// statementOf is a request's statement; that of a partition of a query has
// its part still to be read from the token.
func statementOf(r *sppb.ExecuteSqlRequest) statement {
	return statement{text: r.GetSql(), params: sql.Params{Values: r.GetParams(), Types: r.GetParamTypes()}, seqno: r.GetSeqno(), plan: r.GetQueryMode() == sppb.ExecuteSqlRequest_PLAN}
}

// run executes a statement in a transaction. Partitioned DML commits at once.
func (w *work) run(ctx context.Context, st statement) (*sql.Result, error) {
	node, err := parse(w.Schema().Dialect, st.text)
	if err != nil {
		return nil, err
	}
	partitioned := w.named != nil && w.named.partitioned
	if partitioned && !sql.IsDML(node) {
		return nil, invalid("Only DML statements can be executed in a partitioned DML transaction.")
	}
	result, err := sql.Run(ctx, w.Txn, node, st.params, w.db.Now(), st.plan)
	if err != nil || !partitioned || st.plan {
		return result, err
	}
	if _, ok := node.(*ast.Insert); ok {
		return nil, invalid("INSERT is not supported for partitioned DML.")
	}
	o := w.commitOptions()
	o.Unbound = true
	_, err = w.Commit(nil, o)
	w.db.txns.end(w.named, grpcstatus.Error(codes.FailedPrecondition, "The partitioned DML transaction has ended."))
	return result, retrySoon(err)
}

func rowType(columns []value.Field) *sppb.StructType {
	out := &sppb.StructType{}
	for _, c := range columns {
		out.Fields = append(out.Fields, &sppb.StructType_Field{Name: c.Name, Type: c.Type.Proto()})
	}
	return out
}

// stats tells how many rows DML changed.
func (w *work) stats(result *sql.Result) *sppb.ResultSetStats {
	if !result.DML {
		return nil
	}
	if w.named != nil && w.named.partitioned {
		return &sppb.ResultSetStats{RowCount: &sppb.ResultSetStats_RowCountLowerBound{RowCountLowerBound: result.Count}}
	}
	return &sppb.ResultSetStats{RowCount: &sppb.ResultSetStats_RowCountExact{RowCountExact: result.Count}}
}

// listRow is a row as results carry it.
func listRow(row []any) *structpb.ListValue {
	out := &structpb.ListValue{Values: make([]*structpb.Value, len(row))}
	for i, v := range row {
		out.Values[i] = value.ToProto(v)
	}
	return out
}

// whole runs a statement and collects its rows.
func (w *work) whole(ctx context.Context, selector *sppb.TransactionSelector, st statement) (*sppb.ResultSet, error) {
	if reply := w.replayed(st); reply != nil {
		return proto.CloneOf(reply), nil
	}
	result, err := w.run(ctx, st)
	if err != nil {
		return nil, err
	}
	out := &sppb.ResultSet{Metadata: &sppb.ResultSetMetadata{RowType: rowType(result.Columns), Transaction: w.metadata(selector)}, Stats: w.stats(result)}
	if st.plan {
		return out, nil
	}
	err = result.Rows(func(row []any) error {
		out.Rows = append(out.Rows, listRow(row))
		return nil
	})
	if err == nil {
		err = w.Valid()
	}
	if err != nil {
		return nil, err
	}
	out.PrecommitToken = w.named.precommitToken()
	w.remember(st, result, out)
	return out, nil
}

// replayed finds the reply to a DML statement that the client sends again.
func (w *work) replayed(st statement) *sppb.ResultSet {
	if w.named == nil || st.seqno == 0 {
		return nil
	}
	reply, _ := w.named.replies[st.seqno].(*sppb.ResultSet)
	return reply
}

func (w *work) remember(st statement, result *sql.Result, reply *sppb.ResultSet) {
	if w.named != nil && st.seqno != 0 && result.DML && len(w.named.replies) < 10_000 {
		w.named.replies[st.seqno] = reply
	}
}

func (s *spannerService) ExecuteSql(ctx context.Context, r *sppb.ExecuteSqlRequest) (out *sppb.ResultSet, err error) {
	if db, err := s.database(r.GetSession()); err != nil {
		return nil, err
	} else if _, found, err := streamCall(db, r); found {
		if err != nil && grpcstatus.Code(err) != codes.InvalidArgument {
			return nil, err
		}
		return nil, invalid("Change stream queries are not supported for the ExecuteSql API. Please use the ExecuteStreamingSql API.")
	}
	w, err := s.work(ctx, r.GetSession(), r.GetTransaction(), r.GetRequestOptions().GetTransactionTag())
	if err != nil {
		return nil, err
	}
	defer func() { w.done(err) }()
	st := statementOf(r)
	if st.params.Part, err = part(r.GetPartitionToken(), queryDigest(r.GetTransaction().GetId(), r)); err != nil {
		return nil, err
	}
	return w.whole(ctx, r.GetTransaction(), st)
}

func (s *spannerService) ExecuteBatchDml(ctx context.Context, r *sppb.ExecuteBatchDmlRequest) (out *sppb.ExecuteBatchDmlResponse, err error) {
	if len(r.GetStatements()) == 0 {
		return nil, invalid("No statements in batch DML request.")
	}
	w, err := s.work(ctx, r.GetSession(), r.GetTransaction(), r.GetRequestOptions().GetTransactionTag())
	if err != nil {
		return nil, err
	}
	defer func() { w.done(err) }()
	if w.ReadOnly() || w.named.partitioned {
		return nil, invalid("Batch DML needs a read-write transaction.")
	}
	if reply, ok := w.named.replies[r.GetSeqno()].(*sppb.ExecuteBatchDmlResponse); ok && r.GetSeqno() != 0 {
		return proto.CloneOf(reply), nil
	}
	out = &sppb.ExecuteBatchDmlResponse{Status: &status.Status{}}
	for i, one := range r.GetStatements() {
		set, err := w.batchStatement(ctx, r, one, i == 0)
		if err != nil {
			if i == 0 && w.begun { // the transaction is returned all the same
				out.ResultSets = append(out.ResultSets, &sppb.ResultSet{Metadata: &sppb.ResultSetMetadata{RowType: &sppb.StructType{}, Transaction: w.metadata(r.GetTransaction())}})
			}
			out.Status = grpcstatus.Convert(err).Proto()
			break
		}
		out.ResultSets = append(out.ResultSets, set)
	}
	out.PrecommitToken = w.named.precommitToken()
	if r.GetSeqno() != 0 {
		w.named.replies[r.GetSeqno()] = out
	}
	return out, nil
}

func (w *work) batchStatement(ctx context.Context, r *sppb.ExecuteBatchDmlRequest, one *sppb.ExecuteBatchDmlRequest_Statement, first bool) (*sppb.ResultSet, error) {
	node, err := parse(w.Schema().Dialect, one.GetSql())
	if err != nil {
		return nil, err
	}
	if !sql.IsDML(node) {
		return nil, invalid("Only DML statements are allowed in a batch: %.80s", one.GetSql())
	}
	result, err := sql.Run(ctx, w.Txn, node, sql.Params{Values: one.GetParams(), Types: one.GetParamTypes()}, w.db.Now(), false)
	if err != nil {
		return nil, err
	}
	set := &sppb.ResultSet{Metadata: &sppb.ResultSetMetadata{RowType: rowType(result.Columns)}, Stats: w.stats(result)}
	if first {
		set.Metadata.Transaction = w.metadata(r.GetTransaction())
	}
	err = result.Rows(func(row []any) error {
		set.Rows = append(set.Rows, listRow(row))
		return nil
	})
	return set, err
}

func (s *spannerService) ExecuteStreamingSql(r *sppb.ExecuteSqlRequest, stream sppb.Spanner_ExecuteStreamingSqlServer) (err error) {
	db, err := s.database(r.GetSession())
	if err != nil {
		return err
	}
	if call, found, err := streamCall(db, r); found {
		if err != nil {
			return err
		}
		return s.readStream(call, r, stream)
	}
	w, err := s.work(stream.Context(), r.GetSession(), r.GetTransaction(), r.GetRequestOptions().GetTransactionTag())
	if err != nil {
		return err
	}
	defer func() { w.done(err) }()
	skip, err := w.resume(r.GetResumeToken())
	if err != nil {
		return err
	}
	st := statementOf(r)
	if st.params.Part, err = part(r.GetPartitionToken(), queryDigest(r.GetTransaction().GetId(), r)); err != nil {
		return err
	}
	if reply := w.replayed(st); reply != nil {
		return replay(reply, stream)
	}
	result, err := w.run(stream.Context(), st)
	if err != nil {
		return err
	}
	if result.DML && !st.plan {
		w.remember(st, result, collected(result, w))
	}
	out := w.rowStream(stream, &sppb.ResultSetMetadata{RowType: rowType(result.Columns), Transaction: w.metadata(r.GetTransaction())}, skip, s.chunkSize())
	if !st.plan {
		if err := result.Rows(out.row); err != nil {
			return err
		}
	}
	return out.finish(w.stats(result), w.named.precommitToken())
}

// collected is a DML result as a whole, to be sent again if asked.
func collected(result *sql.Result, w *work) *sppb.ResultSet {
	out := &sppb.ResultSet{Metadata: &sppb.ResultSetMetadata{RowType: rowType(result.Columns)}, Stats: w.stats(result)}
	_ = result.Rows(func(row []any) error { // it only hands out what is there
		out.Rows = append(out.Rows, listRow(row))
		return nil
	})
	return out
}

func replay(reply *sppb.ResultSet, stream parts) error {
	part := &sppb.PartialResultSet{Metadata: reply.Metadata, Stats: reply.Stats, Last: true}
	for _, row := range reply.Rows {
		part.Values = append(part.Values, row.Values...)
	}
	return stream.Send(part)
}
