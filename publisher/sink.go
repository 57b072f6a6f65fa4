package publisher

import (
	"context"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/topics"
)

// Sink returns the sink of a partition.
func (p *Publisher) Sink(partition changestream.Partition) changestream.Sink {
	return &sink{
		p: p, body: p.opt.NewBody(), change: Change{Partition: partition.Token},
		holding: p.lineage.begin(partition, time.Now()), owned: lease{partition.Token.Short(), partition.Epoch},
	}
}

// A sink builds the batches of one partition, in the goroutine of its reader.
type sink struct {
	p       *Publisher
	router  *topics.Router
	covered *coverage
	planner *topics.Planner
	body    Body
	batch   *batch
	change  Change
	schema  *changestream.Schema // of the latest record
	ignored bool
	holding holding
	owned   lease
}

// Change implements changestream.Sink.
func (s *sink) Change(rec *changestream.DataChangeRecord) error {
	if s.schema != rec.Schema {
		s.schema, s.ignored = rec.Schema, s.p.opt.Ignore(rec.Schema.Table)
	}
	if s.ignored {
		return nil
	}
	b := s.begin()
	if s.p.opt.Trace != nil && len(b.records) == 0 {
		b.trace = s.p.opt.Trace(rec.CommitTimestamp)
	}
	s.change.Record = rec
	return b.add(&s.change, s.planner, s.body, nil)
}

// begin returns the batch that is being built.
func (s *sink) begin() *batch {
	if s.batch == nil {
		s.batch = s.p.newBatch()
		s.batch.partition = s.change.Partition
		s.batch.moved = s.holding.told()
		if router, covered := s.p.opt.Router(), s.p.coverage.Load(); router != s.router || covered != s.covered {
			s.router, s.covered, s.planner = router, covered, router.Planner(covered.any)
		}
	}
	return s.batch
}

// MovedIn implements changestream.Sink.
func (s *sink) MovedIn(at time.Time, sources []changestream.PartitionToken) {
	s.holding = s.p.lineage.movedIn(s.change.Partition, s.holding, at, sources, time.Now())
	if s.batch != nil && len(s.batch.records) == 0 {
		s.batch.moved = s.holding.told()
	}
}

// Flush implements changestream.Sink. It waits for room in the buffer.
func (s *sink) Flush(ctx context.Context, m changestream.Mark) error {
	b := s.begin()
	b.mark, b.owned = m, s.owned
	if err := s.p.submit(ctx, b); err != nil {
		return err // the batch stays, for the next attempt
	}
	s.batch = nil
	return nil
}
