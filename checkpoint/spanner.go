package checkpoint

import (
	"context"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/spancast/spancast/changestream"
)

// Spanner keeps a stream's partitions and replicas in tables of a database.
// The clock of the store is that of the database.
type Spanner struct {
	client *spanner.Client
	stream string // projects/…/databases/D/changeStreams/S: tables may serve several
	tables Tables
}

// NewSpanner returns the store of one change stream. The client should not
// share connections with the queries of the stream.
func NewSpanner(client *spanner.Client, info changestream.Info, prefix string) *Spanner {
	return &Spanner{client: client, stream: StreamName(info), tables: TablesOf(prefix)}
}

// StreamName names a change stream as the tables do.
func StreamName(info changestream.Info) string {
	return info.Database + "/changeStreams/" + info.Stream
}

var (
	partitionColumns = []string{"ChangeStream", "Token", "Parents", "StartTimestamp", "EndTimestamp", "State", "Position",
		"Owner", "LeaseEpoch", "LeaseExpiry", "CreatedAt", "FinishedAt", "MovedAt", "MovedTo"}
	// ruleColumns are those that the rules of a commit look at.
	ruleColumns    = []string{"Token", "State", "EndTimestamp", "Position", "Owner", "LeaseEpoch", "LeaseExpiry"}
	updateColumns  = []string{"ChangeStream", "Token", "EndTimestamp", "State", "Position", "Owner", "LeaseEpoch", "LeaseExpiry", "FinishedAt"}
	movedColumns   = []string{"MovedAt", "MovedTo"}
	replicaColumns = []string{"ChangeStream", "ReplicaId", "Epoch", "Endpoints", "Capacity", "LastSeen"}
)

// View implements changestream.Store: two strong reads, without locks.
func (s *Spanner) View(ctx context.Context) (changestream.View, error) {
	var v changestream.View
	ro := s.client.Single()
	err := ro.ReadWithOptions(ctx, s.tables.Partitions, spanner.Key{s.stream}.AsPrefix(), partitionColumns, s.readOptions()).Do(func(row *spanner.Row) error {
		p, err := scanPartition(row)
		v.Partitions = append(v.Partitions, p)
		return err
	})
	if err != nil {
		return v, changestream.Classify("read", "table "+s.tables.Partitions, err)
	}
	if v.Now, err = ro.Timestamp(); err != nil {
		return v, changestream.Classify("read", "table "+s.tables.Partitions, err)
	}
	err = s.replicas(ctx, &v)
	return v, err
}

// Present implements changestream.Store: a strong read of a few keys.
func (s *Spanner) Present(ctx context.Context) (ids []string, err error) {
	err = s.client.Single().ReadWithOptions(ctx, s.tables.Replicas, spanner.Key{s.stream}.AsPrefix(), []string{"ReplicaId"}, s.readOptions()).Do(func(row *spanner.Row) error {
		var id string
		err := row.Columns(&id)
		if !isEnded(id) {
			ids = append(ids, id)
		}
		return err
	})
	return ids, changestream.Classify("read", "table "+s.tables.Replicas, err)
}

// endedPrefix begins the ids of rows that stand for replicas that have ended, of
// which their epoch is left.
const endedPrefix = "ended/"

func isEnded(id string) bool { return strings.HasPrefix(id, endedPrefix) }

func (s *Spanner) replicas(ctx context.Context, v *changestream.View) error {
	err := s.client.Single().ReadWithOptions(ctx, s.tables.Replicas, spanner.Key{s.stream}.AsPrefix(), replicaColumns, s.readOptions()).Do(func(row *spanner.Row) error {
		var stream string
		var capacity int64
		var r changestream.Replica
		if err := row.Columns(&stream, &r.ID, &r.Epoch, &r.Endpoints, &capacity, &r.LastSeen); err != nil {
			return err
		}
		r.Capacity = int(capacity)
		r.Endpoints, r.Recover = splitEndpoints(r.Endpoints)
		switch {
		case !isEnded(r.ID):
			v.Replicas = append(v.Replicas, r)
		case v.Now.Sub(r.LastSeen) <= changestream.EndedFor:
			v.Ended = append(v.Ended, r)
		default:
			v.Outdated = append(v.Outdated, r.ID)
		}
		return nil
	})
	return changestream.Classify("read", "table "+s.tables.Replicas, err)
}

func (s *Spanner) readOptions() *spanner.ReadOptions {
	return &spanner.ReadOptions{Priority: spannerpb.RequestOptions_PRIORITY_HIGH, RequestTag: "spancast-view"}
}

// Commit implements changestream.Store: one read-write transaction, that reads
// only the rows it is about, and of these what the rules ask for; several, if it
// has more to write than Spanner takes in one.
func (s *Spanner) Commit(ctx context.Context, c changestream.Commit) (changestream.Result, error) {
	var all changestream.Result
	if err := s.storable(c.Roots); err != nil {
		return all, err
	}
	for _, part := range split(c, maxMutations) {
		result, err := s.commit(ctx, part)
		if err != nil {
			return changestream.Result{}, err
		}
		all.RootsExist = all.RootsExist || result.RootsExist
		all.Lost, all.NotTaken = append(all.Lost, result.Lost...), append(all.NotTaken, result.NotTaken...)
	}
	return all, nil
}

func (s *Spanner) commit(ctx context.Context, c changestream.Commit) (changestream.Result, error) {
	var result changestream.Result
	_, err := s.client.ReadWriteTransactionWithOptions(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		current, err := s.read(ctx, tx, tokens(c))
		if err != nil {
			return err
		}
		known, err := s.facts(ctx, tx, c)
		if err != nil {
			return err
		}
		var writes []write
		writes, result = decide(current, known, c)
		return tx.BufferWrite(s.mutations(writes, c))
	}, spanner.TransactionOptions{
		TransactionTag: "spancast-lease", CommitPriority: spannerpb.RequestOptions_PRIORITY_HIGH, ExcludeTxnFromChangeStreams: true,
	})
	return result, changestream.Classify("write", "table "+s.tables.Partitions, err)
}

func (s *Spanner) read(ctx context.Context, tx *spanner.ReadWriteTransaction, wanted []changestream.PartitionToken) (rows, error) {
	current := make(rows, len(wanted))
	if len(wanted) == 0 {
		return current, nil
	}
	keys := make([]spanner.KeySet, len(wanted))
	for i, token := range wanted {
		keys[i] = spanner.Key{s.stream, string(token)}
	}
	err := tx.Read(ctx, s.tables.Partitions, spanner.KeySets(keys...), ruleColumns).Do(func(row *spanner.Row) error {
		var token, state string
		var p changestream.Partition
		var end, expiry spanner.NullTime
		err := row.Columns(&token, &state, &end, &p.Position, &p.Owner, &p.Epoch, &expiry)
		p.Token, p.State, p.End, p.Expiry = changestream.PartitionToken(token), changestream.State(state), end.Time, expiry.Time
		current[p.Token] = p
		return err
	})
	return current, err
}

func (s *Spanner) facts(ctx context.Context, tx *spanner.ReadWriteTransaction, c changestream.Commit) (facts, error) {
	known := facts{replicas: make(map[string]bool)}
	if len(c.Roots) > 0 {
		err := tx.ReadWithOptions(ctx, s.tables.Partitions, spanner.Key{s.stream}.AsPrefix(), []string{"Token"}, &spanner.ReadOptions{Limit: 1}).Do(func(*spanner.Row) error {
			known.planted = true
			return nil
		})
		if err != nil {
			return known, err
		}
	}
	heirs := heirs(c)
	if len(heirs) == 0 {
		return known, nil
	}
	keys := make([]spanner.KeySet, len(heirs))
	for i, id := range heirs {
		keys[i] = spanner.Key{s.stream, id}
	}
	return known, tx.Read(ctx, s.tables.Replicas, spanner.KeySets(keys...), []string{"ReplicaId"}).Do(func(row *spanner.Row) error {
		var id string
		err := row.Columns(&id)
		known.replicas[id] = true
		return err
	})
}

func (s *Spanner) mutations(writes []write, c changestream.Commit) []*spanner.Mutation {
	var out []*spanner.Mutation
	for _, w := range writes {
		key := spanner.Key{s.stream, string(w.Token)}
		switch {
		case w.remove:
			out = append(out, spanner.Delete(s.tables.Partitions, key))
		case w.isNew:
			out = append(out, spanner.InsertOrUpdate(s.tables.Partitions, partitionColumns, []any{
				s.stream, string(w.Token), texts(w.Parents), truncate(w.Start), null(w.End), string(w.State), truncate(w.Position),
				w.Owner, w.Epoch, null(w.Expiry), truncate(w.CreatedAt), null(w.FinishedAt), null(w.MovedAt), texts(w.MovedTo),
			}))
		case w.renewal:
			out = append(out, spanner.Update(s.tables.Partitions, []string{"ChangeStream", "Token", "Position", "LeaseExpiry"},
				[]any{s.stream, string(w.Token), w.Position, w.Expiry}))
		default:
			columns := updateColumns
			values := []any{s.stream, string(w.Token), null(w.End), string(w.State), w.Position, w.Owner, w.Epoch, null(w.Expiry), null(w.FinishedAt)}
			if w.moved {
				columns, values = slices.Concat(updateColumns, movedColumns), append(values, null(w.MovedAt), texts(w.MovedTo))
			}
			out = append(out, spanner.Update(s.tables.Partitions, columns, values))
		}
	}
	if r := c.Replica; r != nil {
		endpoints := joinEndpoints(r.Endpoints, r.Recover)
		out = append(out, spanner.InsertOrUpdate(s.tables.Replicas, replicaColumns, []any{s.stream, r.ID, r.Epoch, endpoints, int64(r.Capacity), truncate(r.LastSeen)}))
	}
	for _, id := range c.Gone {
		out = append(out, spanner.Delete(s.tables.Replicas, spanner.Key{s.stream, id}))
	}
	if r := c.Ended; r != nil {
		out = append(out, spanner.Delete(s.tables.Replicas, spanner.Key{s.stream, r.ID}),
			spanner.InsertOrUpdate(s.tables.Replicas, replicaColumns, []any{s.stream, endedPrefix + r.Epoch, r.Epoch, []string{}, int64(0), truncate(c.Now)}))
	}
	return out
}

func scanPartition(row *spanner.Row) (changestream.Partition, error) {
	var stream, token, state string
	var parents, movedTo []string
	var p changestream.Partition
	var end, expiry, finished, movedAt spanner.NullTime
	err := row.Columns(&stream, &token, &parents, &p.Start, &end, &state, &p.Position, &p.Owner, &p.Epoch, &expiry, &p.CreatedAt, &finished, &movedAt, &movedTo)
	p.Token, p.State, p.End, p.Expiry, p.FinishedAt = changestream.PartitionToken(token), changestream.State(state), end.Time, expiry.Time, finished.Time
	p.Parents, p.MovedAt, p.MovedTo = tokensOf(parents), movedAt.Time, tokensOf(movedTo)
	return p, err
}

func tokensOf(list []string) (out []changestream.PartitionToken) {
	for _, t := range list {
		out = append(out, changestream.PartitionToken(t))
	}
	return out
}

func texts(tokens []changestream.PartitionToken) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = string(t)
	}
	return out
}

func null(t time.Time) spanner.NullTime {
	return spanner.NullTime{Time: truncate(t), Valid: !t.IsZero()}
}
