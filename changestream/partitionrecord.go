package changestream

import (
	"context"
	"errors"
)

// errPartitionEnd ends the query of a partition that has told of its end.
var errPartitionEnd = errors.New("the partition has ended")

// partition acts on a partition start, event or end record.
//
// Move-ins are waited for before the next record that is not of the same
// timestamp, or that is a data record: two partitions that exchange keys at one
// timestamp have both told of their move-outs then, and neither waits in vain.
func (r *reader) partition(ctx context.Context, kind Kind, rec PartitionRecord) error {
	if r.seen.beforePartition(kind, &rec) {
		r.source.stats.Duplicates.Add(1)
		return nil
	}
	if kind == KindPartitionEnd || rec.Timestamp.After(r.hold.Timestamp) {
		if err := r.await(ctx); err != nil {
			return err
		}
	}
	r.position, r.moved = later(r.position, rec.Timestamp), true
	switch kind {
	case KindPartitionStart:
		if err := r.flush(ctx, nil); err != nil {
			return err
		}
		if err := r.pause(ctx, kind, rec); err != nil {
			return sinkError{err}
		}
	case KindPartitionEvent:
		if len(rec.Sources) > 0 {
			r.hold.Timestamp = rec.Timestamp
			r.hold.Sources = append(r.hold.Sources, rec.Sources...)
		}
		if err := r.flush(ctx, rec.Destinations); err != nil {
			return err
		}
	case KindPartitionEnd:
		r.over, r.end = true, rec.Timestamp
		return errPartitionEnd
	}
	r.seen.notePartition(kind, &rec)
	return nil
}

// await waits for the move-ins that the partition stands at. What came before
// them is sent on first.
func (r *reader) await(ctx context.Context) error {
	if len(r.hold.Sources) == 0 {
		return nil
	}
	if err := r.flush(ctx, nil); err != nil {
		return err
	}
	if err := r.pause(ctx, KindPartitionEvent, r.hold); err != nil {
		return sinkError{err}
	}
	r.sink.MovedIn(r.hold.Timestamp, r.hold.Sources)
	r.hold = PartitionRecord{}
	return nil
}

// flush sends on what the sink has, and tells of move-outs behind it.
func (r *reader) flush(ctx context.Context, out []PartitionToken) error {
	return inSink(r.sink.Flush(ctx, Mark{Progress: r.progress, Position: r.position, Out: out}))
}
