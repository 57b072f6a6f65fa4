package checkpoint

import (
	"context"
	"slices"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
)

// Release takes partitions away from the replicas that own them, by beginning
// the next epoch: their owners can write nothing more, and stop when they look
// next. Others may take them when the old lease has run out. It returns those
// that it changed, as they were; partitions without an owner are left alone.
func (s *Spanner) Release(ctx context.Context, tokens []changestream.PartitionToken) ([]changestream.Partition, error) {
	var all []changestream.Partition
	for some := range slices.Chunk(tokens, maxMutations/costOfUpdate) {
		changed, err := s.release(ctx, some)
		if all = append(all, changed...); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (s *Spanner) release(ctx context.Context, tokens []changestream.PartitionToken) ([]changestream.Partition, error) {
	var changed []changestream.Partition
	err := s.administer(ctx, "spancast-release", func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		changed = nil
		current, err := s.read(ctx, tx, tokens)
		if err != nil {
			return err
		}
		var writes []write
		for _, token := range tokens {
			p, ok := current[token]
			if !ok || p.Owner == "" || p.Owner == changestream.Released || p.State == changestream.Finished {
				continue
			}
			changed = append(changed, p)
			p.Owner, p.Epoch, p.End = changestream.Released, p.Epoch+1, time.Time{}
			writes = append(writes, write{Partition: p})
		}
		return tx.BufferWrite(s.mutations(writes, changestream.Commit{}))
	})
	return changed, err
}

// Reset throws all partitions of the stream away and stores others in their
// place, from which reading begins anew. Now is the store's time. While leases
// of the old ones have not run out, nobody can take the new ones. It returns how
// many there were.
func (s *Spanner) Reset(ctx context.Context, roots []changestream.Partition, now time.Time) (removed int, err error) {
	if err := s.storable(roots); err != nil {
		return 0, err
	}
	err = s.administer(ctx, "spancast-reset", func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		removed = 0
		epochs := make(map[changestream.PartitionToken]int64)
		var lease time.Time // the last to run out
		all := spanner.Key{s.stream}.AsPrefix()
		err := tx.Read(ctx, s.tables.Partitions, all, partitionColumns).Do(func(row *spanner.Row) error {
			p, err := scanPartition(row)
			removed++
			epochs[p.Token] = p.Epoch + 1
			if p.Owner != "" && p.Expiry.After(lease) {
				lease = p.Expiry
			}
			return err
		})
		if err != nil {
			return err
		}
		var writes []write
		for _, p := range roots {
			p.CreatedAt, p.Epoch = now, epochs[p.Token]
			if lease.After(now) {
				p.Owner, p.Expiry = changestream.Released, lease
			}
			writes = append(writes, write{Partition: p, isNew: true})
		}
		old := []*spanner.Mutation{spanner.Delete(s.tables.Partitions, all)}
		return tx.BufferWrite(append(old, s.mutations(writes, changestream.Commit{})...))
	})
	return removed, err
}

func (s *Spanner) administer(ctx context.Context, tag string, f func(context.Context, *spanner.ReadWriteTransaction) error) error {
	_, err := s.client.ReadWriteTransactionWithOptions(ctx, f, spanner.TransactionOptions{TransactionTag: tag, ExcludeTxnFromChangeStreams: true})
	return changestream.Classify("write", "table "+s.tables.Partitions, err)
}
