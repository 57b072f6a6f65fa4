package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"

	"github.com/spancast/spancast/emulator/internal/engine"
	"github.com/spancast/spancast/emulator/internal/sql"
	"github.com/spancast/spancast/emulator/internal/store"
)

// token is what a partition token holds: a range of keys, and the digest of
// the transaction and the request that it was made for.
type token struct {
	For      []byte
	From, To []byte
}

// queryDigest and readDigest are what must be the same in the request that is
// partitioned and in those that run the partitions.
func queryDigest(tx []byte, q *sppb.ExecuteSqlRequest) []byte {
	return digest(tx, &sppb.ExecuteSqlRequest{Sql: q.GetSql(), Params: q.GetParams(), ParamTypes: q.GetParamTypes()})
}

func readDigest(tx []byte, r *sppb.ReadRequest) []byte {
	return digest(tx, &sppb.ReadRequest{Table: r.GetTable(), Index: r.GetIndex(), Columns: r.GetColumns(), KeySet: r.GetKeySet()})
}

func digest(tx []byte, m proto.Message) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil { // a text that is not UTF-8, which no request can carry
		raw = []byte(err.Error())
	}
	sum := sha256.Sum256(append(append([]byte{}, tx...), raw...))
	return sum[:16]
}

// part reads a partition token; without one the part is all.
func part(raw, want []byte) (store.Range, error) {
	if len(raw) == 0 {
		return store.Range{}, nil
	}
	var t token
	if err := json.Unmarshal(raw, &t); err != nil || len(t.For) == 0 {
		return store.Range{}, invalid("Invalid partition token.")
	}
	if !bytes.Equal(t.For, want) {
		return store.Range{}, invalid("The partition token was made for another transaction or another request.")
	}
	return store.Range{From: string(t.From), To: string(t.To)}, nil
}

// PartitionQuery divides a query of one table by its primary key; others have
// one partition.
func (s *spannerService) PartitionQuery(ctx context.Context, r *sppb.PartitionQueryRequest) (out *sppb.PartitionResponse, err error) {
	w, err := s.partitioned(ctx, r.GetSession(), r.GetTransaction())
	if err != nil {
		return nil, err
	}
	defer func() { w.done(err) }()
	q := &sppb.ExecuteSqlRequest{Sql: r.GetSql(), Params: r.GetParams(), ParamTypes: r.GetParamTypes()}
	node, err := parse(w.Schema().Dialect, q.GetSql())
	if err != nil {
		return nil, err
	}
	table, err := sql.Partitionable(node, w.Schema())
	if err != nil {
		return nil, err
	}
	if _, err := sql.Run(ctx, w.Txn, node, statementOf(q).params, w.db.Now(), true); err != nil {
		return nil, err
	}
	parts := []store.Range{{}}
	if table != nil {
		parts = w.SplitTable(table, partsOf(r.GetPartitionOptions()))
	}
	return w.partitions(r.GetTransaction(), parts, queryDigest([]byte(w.named.id), q))
}

// PartitionRead divides a read by the key that it reads by.
func (s *spannerService) PartitionRead(ctx context.Context, r *sppb.PartitionReadRequest) (out *sppb.PartitionResponse, err error) {
	w, err := s.partitioned(ctx, r.GetSession(), r.GetTransaction())
	if err != nil {
		return nil, err
	}
	defer func() { w.done(err) }()
	read := &sppb.ReadRequest{Table: r.GetTable(), Index: r.GetIndex(), Columns: r.GetColumns(), KeySet: r.GetKeySet()}
	request, err := readRequest(nil, read)
	if err != nil {
		return nil, err
	}
	parts, err := w.SplitRead(request, partsOf(r.GetPartitionOptions()))
	if err != nil {
		return nil, err
	}
	return w.partitions(r.GetTransaction(), parts, readDigest([]byte(w.named.id), read))
}

func partsOf(o *sppb.PartitionOptions) engine.Parts {
	return engine.Parts{Bytes: o.GetPartitionSizeBytes(), Most: o.GetMaxPartitions()}
}

// partitioned finds the transaction of a request for partitions.
func (s *spannerService) partitioned(ctx context.Context, session string, selector *sppb.TransactionSelector) (*work, error) {
	w, err := s.work(ctx, session, selector, "")
	if err != nil {
		return nil, err
	}
	if w.named == nil || !w.ReadOnly() {
		err := invalid("Partitioning requires a read-only transaction that is not single-use.")
		w.done(err)
		return nil, err
	}
	return w, nil
}

func (w *work) partitions(selector *sppb.TransactionSelector, parts []store.Range, of []byte) (*sppb.PartitionResponse, error) {
	out := &sppb.PartitionResponse{Transaction: w.metadata(selector)}
	for _, p := range parts {
		raw, err := json.Marshal(token{For: of, From: []byte(p.From), To: []byte(p.To)})
		if err != nil {
			return nil, err
		}
		out.Partitions = append(out.Partitions, &sppb.Partition{PartitionToken: raw})
	}
	return out, w.Valid()
}
