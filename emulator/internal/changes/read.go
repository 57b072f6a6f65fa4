package changes

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/store"
)

// Query is a change stream query whose arguments have the right types.
type Query struct {
	Start     time.Time
	End       *time.Time
	Token     *string // nil: the initial query
	Heartbeat time.Duration
	Resume    string // resume token of the last frame that the caller has
}

// Clock is the database's time.
type Clock interface {
	Now() time.Time
	// Close gives a timestamp up to which no further commit will come, as late
	// as it can but not after to.
	Close(to store.Timestamp) store.Timestamp
}

// Sink takes a query's rows. The values are rows encoded as the values field of
// a PartialResultSet, one after the other; they must not be changed.
type Sink func(values []byte, rows int, resume string) error

// Shape changes what queries answer, for tests of readers.
type Shape struct {
	NullArrays       bool          // NULL instead of the two empty arrays of a row
	NullParents      bool          // [NULL] as the parents of first partitions
	SeparateChildren bool          // a record for each child
	NoChild          bool          // queries end without a child record
	Silent           bool          // queries answer nothing at all until they are cancelled
	Rows             int           // most in a frame; 0: frameRows
	TokenLife        time.Duration // after which tokens expire; 0: with retention
}

const (
	frameRows  = 64
	frameBytes = 64 << 10
)

// reader is one running query.
type reader struct {
	s       *Stream
	q       Query
	p       *Partition
	clock   Clock
	shape   func() Shape
	sink    Sink
	pos     position
	reached position        // pos for others, who hold the stream's lock
	end     store.Timestamp // inclusive; store.Max: none
	sent    bool
	quietAt time.Time // when something was last sent
}

// Read answers a query until it ends by itself, the context ends, the sink
// fails or the stream is dropped.
func (s *Stream) Read(ctx context.Context, q Query, clock Clock, shape func() Shape, sink Sink) error {
	r := &reader{s: s, q: q, clock: clock, shape: shape, sink: sink, end: store.Max}
	if err := r.validate(); err != nil {
		return err
	}
	if r.expired() {
		return status.Error(codes.OutOfRange, "The partition is no longer valid: all its records have expired and were deleted.")
	}
	if shape().Silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := r.awaitStart(ctx); err != nil {
		return err
	}
	if q.Token == nil {
		return r.initial()
	}
	r.quietAt = clock.Now()
	s.attach(r)
	defer s.detach(r)
	for {
		done, err := r.step(ctx)
		if done || err != nil {
			return err
		}
	}
}

// attach and detach keep the list of running partition queries.
func (s *Stream) attach(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.reached = r.pos
	s.readers[r] = struct{}{}
}

func (s *Stream) detach(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
}

// Readers is how many partition queries are running.
func (s *Stream) Readers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.readers)
}

// Behind reports whether a running query has more than some blocks of records
// still before it, or all of them more than a quarter of what is kept.
func (s *Stream) Behind(blocks int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	unread := int64(0)
	for r := range s.readers {
		if n := len(r.p.log.blocks); n > blocks && !before(r.p.log.blocks[n-blocks].entries[0], r.reached) {
			return true
		}
		if unread += r.p.log.unread(r.reached); unread > s.limit/4 {
			return true
		}
	}
	return false
}

// expired reports whether a token has outlived the life that tests gave it.
func (r *reader) expired() bool {
	life := r.shape().TokenLife
	return life > 0 && r.p != nil && r.clock.Now().Sub(Time(r.p.Start)) > life
}

// awaitStart waits for a start timestamp in the future.
func (r *reader) awaitStart(ctx context.Context) error {
	for {
		wait := r.q.Start.Sub(r.clock.Now())
		if wait <= 0 {
			return nil
		}
		r.s.mu.Lock()
		err, notify := r.s.gone(), r.s.open[0].notify
		if r.p != nil {
			notify = r.p.notify
		}
		r.s.mu.Unlock()
		if err != nil {
			return err
		}
		if err := sleep(ctx, notify, wait); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, notify <-chan struct{}, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-notify:
	case <-timer.C:
	}
	return nil
}

// gone is the error of a stream that was dropped.
func (s *Stream) gone() error {
	if s.dropped {
		return status.Errorf(codes.NotFound, "Change Stream not found: %s", s.def.Name)
	}
	return nil
}

// initial answers the query without a token: the partitions that were open at
// the start timestamp.
func (r *reader) initial() error {
	r.s.mu.Lock()
	if err := r.s.gone(); err != nil {
		r.s.mu.Unlock()
		return err
	}
	at := micros(r.q.Start)
	var tokens []string
	for _, p := range r.s.ordered() {
		if p.Start <= at && (p.End == 0 || p.End > at) {
			tokens = append(tokens, p.Token)
		}
	}
	proto := r.s.format == formatProto
	r.s.mu.Unlock()
	shape, first := r.shape(), 0
	if text, _, ok := parseResume(r.q.Resume); ok && strings.HasPrefix(text, "i") {
		n, err := strconv.Atoi(text[1:])
		if err != nil || n < 0 {
			return status.Error(codes.InvalidArgument, "Invalid resume token.")
		}
		first = n + 1
	}
	for i, token := range tokens {
		if i < first {
			continue
		}
		row := []byte(nil)
		if proto {
			row = r.s.protoRow(protoStart(r.q.Start, i, token))
		} else {
			row = r.s.childRow(r.q.Start, i, []child{{token: token}}, shape.NullParents)
		}
		if err := r.send(run{data: row, rows: 1}, "i"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// ordered lists all partitions by start and range.
func (s *Stream) ordered() []*Partition {
	out := make([]*Partition, 0, len(s.all))
	for _, p := range s.all {
		out = append(out, p)
	}
	sortPartitions(out)
	return out
}

// micros is the first commit timestamp at or after an instant.
func micros(t time.Time) store.Timestamp {
	at := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		at++
	}
	return store.Timestamp(at)
}

// step sends what there is, or waits for something to send.
func (r *reader) step(ctx context.Context) (done bool, err error) {
	if err := ctx.Err(); err != nil {
		return true, err
	}
	closed := store.Timestamp(0)
	if due := r.due(); !due.After(r.clock.Now()) {
		closed = r.clock.Close(min(r.end, micros(r.clock.Now())))
	}
	shape := r.shape()
	r.s.mu.Lock()
	if err := r.valid(); err != nil {
		r.s.mu.Unlock()
		return true, err
	}
	rows := frameRows
	if shape.Rows > 0 {
		rows = shape.Rows
	}
	batch := r.p.log.read(r.pos, r.end, rows, frameBytes)
	r.reached = batch.next
	ended, children, notify := r.p.End, r.p.children, r.p.notify
	r.s.mu.Unlock()
	switch {
	case batch.rows > 0:
		r.pos = batch.next
		return false, r.send(batch, r.pos.String())
	case ended != 0 && r.end >= ended:
		return true, r.finish(ended, children, shape)
	case closed != 0 && closed >= r.end:
		if r.sent {
			return true, nil
		}
		return true, r.sendHeartbeat(*r.q.End)
	case closed != 0 && r.clock.Now().Sub(r.quietAt) >= r.q.Heartbeat && closed >= r.pos.at && (ended == 0 || closed < ended):
		r.pos = position{at: closed + 1}
		return false, r.sendHeartbeat(Time(closed))
	}
	return false, sleep(ctx, notify, max(r.due().Sub(r.clock.Now()), time.Millisecond))
}

// due is when the query has something to say even without records.
func (r *reader) due() time.Time {
	due := r.quietAt.Add(r.q.Heartbeat)
	if r.q.End != nil && r.q.End.Before(due) {
		return *r.q.End
	}
	return due
}

// finish sends the child records of a partition that has ended. A mutable
// stream's partitions end with a record in the log instead.
func (r *reader) finish(ended store.Timestamp, children []child, shape Shape) error {
	if shape.NoChild || len(children) == 0 || r.q.Resume == resumeEnd {
		return nil
	}
	groups := [][]child{children}
	if shape.SeparateChildren {
		groups = nil
		for i := range children {
			groups = append(groups, children[i:i+1])
		}
	}
	for i, group := range groups {
		row := r.s.childRow(Time(ended), i, group, false)
		if err := r.send(run{data: row, rows: 1}, resumeEnd); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) sendHeartbeat(at time.Time) error {
	return r.send(run{data: r.s.heartbeatRow(at), rows: 1}, position{at: micros(at) + 1}.String())
}

func (r *reader) send(batch run, resume string) error {
	r.sent, r.quietAt = true, r.clock.Now()
	data := batch.data
	if r.shape().NullArrays && r.s.format == formatStruct {
		data = nullArrays(data, batch.rows)
	}
	return r.sink(data, batch.rows, encodeResume(resume))
}

func encodeResume(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// nullArrays writes NULL for each empty array of the rows, in a copy. Both take
// four bytes, and a data row ends with two empty ones.
func nullArrays(data []byte, rows int) []byte {
	if rows != 1 || !strings.HasSuffix(string(data), string(emptyList)) {
		return data
	}
	out := append([]byte(nil), data...)
	for tail := len(out); tail >= 4 && string(out[tail-4:tail]) == string(emptyList) && tail > len(out)-8; tail -= 4 {
		copy(out[tail-4:], nullValue)
	}
	return out
}

const resumeEnd = "end"

// String is the position as a resume token spells it.
func (p position) String() string {
	return strconv.FormatInt(int64(p.at), 10) + "." + strconv.FormatUint(uint64(p.skip), 10)
}

// parseResume reads a resume token; false when it is none.
func parseResume(token string) (text string, pos position, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", pos, false
	}
	at, skip, found := strings.Cut(string(raw), ".")
	if !found {
		return string(raw), pos, string(raw) == resumeEnd || strings.HasPrefix(string(raw), "i")
	}
	a, err1 := strconv.ParseInt(at, 10, 64)
	n, err2 := strconv.ParseUint(skip, 10, 32)
	return "", position{store.Timestamp(a), uint32(n)}, err1 == nil && err2 == nil
}
