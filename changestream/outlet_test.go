package changestream_test

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
)

// An outlet is the publisher of one replica: what it is given waits in line, as
// before a socket, while its partition is held.
type outlet struct {
	*recorder
	mu   sync.Mutex
	held map[changestream.PartitionToken]bool
	line []batch
	dead bool
}

type batch struct {
	token   changestream.PartitionToken
	changes []change
	mark    changestream.Mark
}

func newOutlet(r *recorder) *outlet {
	return &outlet{recorder: r, held: make(map[changestream.PartitionToken]bool)}
}

func (o *outlet) of(p changestream.Partition) changestream.Sink {
	return &outletSink{Sink: o.recorder, o: o, batch: batch{token: p.Token}}
}

// hold lets nothing of a partition out until release.
func (o *outlet) hold(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held[changestream.PartitionToken(token)] = true
}

// release lets everything out.
func (o *outlet) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.held)
	for _, b := range o.line {
		o.publish(b)
	}
	o.line = nil
}

// die loses what waits in line, and lets nothing out any more.
func (o *outlet) die() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead, o.line = true, nil
}

func (o *outlet) submit(b batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.dead:
	case o.held[b.token]:
		o.line = append(o.line, b)
	default:
		o.publish(b)
	}
}

func (o *outlet) publish(b batch) {
	if !b.mark.Progress.Alive() {
		return // the lease may be another's by now
	}
	o.recorder.publish(b.changes)
	b.mark.Progress.Published(b.mark)
}

type outletSink struct {
	changestream.Sink // for what it does not do itself
	o                 *outlet
	batch
}

// Change implements changestream.Sink.
func (s *outletSink) Change(rec *changestream.DataChangeRecord) error {
	for _, c := range changesOf(rec) {
		c.partition = s.token
		s.changes = append(s.changes, c)
	}
	return nil
}

// Flush implements changestream.Sink.
func (s *outletSink) Flush(_ context.Context, m changestream.Mark) error {
	s.mark = m
	s.o.submit(s.batch)
	s.changes = nil
	return nil
}

// A lifeline is a store as one replica reaches it, until it is cut.
type lifeline struct {
	changestream.Store
	mu     sync.Mutex
	isCut  bool // nothing goes through
	closed bool // nothing is written
	looks  int
}

func (l *lifeline) set(isCut, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut, l.closed = isCut, closed
}

// views is how often the store was looked at.
func (l *lifeline) views() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// View implements changestream.Store.
func (l *lifeline) View(ctx context.Context) (changestream.View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return changestream.View{}, status.Error(codes.Unavailable, "cut")
	}
	l.looks++
	return l.Store.View(ctx)
}

// Commit implements changestream.Store.
func (l *lifeline) Commit(ctx context.Context, c changestream.Commit) (changestream.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut || l.closed {
		return changestream.Result{}, status.Error(codes.Unavailable, "cut")
	}
	return l.Store.Commit(ctx, c)
}
