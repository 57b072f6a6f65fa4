// Package fault says what goes wrong on demand, for tests of clients.
package fault

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/emulator/internal/changes"
)

// Faults are the faults in force. The zero value is none.
type Faults struct {
	// Fail ends each change stream query with this code after FailAfter
	// frames: Unavailable, DeadlineExceeded, Internal, ResourceExhausted or
	// any other.
	Fail      codes.Code
	FailAfter int
	// EndAfter ends each change stream query after so many frames, before its
	// time and as if all were well; 0: none.
	EndAfter int
	// FrameDelay is waited before each frame of a change stream query.
	FrameDelay time.Duration
	// NoResumeTokens leaves resume tokens out of change stream frames;
	// ConstantResumeTokens sends the same one in each, as Google's emulator does.
	NoResumeTokens       bool
	ConstantResumeTokens bool
	// OneRowPerFrame sends each record in a frame of its own; RowsPerFrame at
	// most so many in each, 0: 64.
	OneRowPerFrame bool
	RowsPerFrame   int
	// ChunkSize cuts values longer than this many bytes; 0: 1 MiB.
	ChunkSize int
	// NoChildRecord ends partitions without their child records; Silent answers
	// change stream queries with nothing at all, for ever.
	NoChildRecord bool
	Silent        bool
	// NullArrays sends NULL instead of the empty arrays of a change record,
	// NullParents sends [NULL] as the parents of first partitions.
	NullArrays  bool
	NullParents bool
	// SeparateChildren sends a record for each child partition instead of one
	// for all.
	SeparateChildren bool
	// TokenLife makes partition tokens expire this long after their partition
	// began; 0: with retention.
	TokenLife time.Duration
	// SharedTimestamps lets transactions on different rows have one commit
	// timestamp.
	SharedTimestamps bool
	// CommitDelay is waited before each commit.
	CommitDelay time.Duration
	// AbortEvery aborts every n-th commit; 0: none.
	AbortEvery int
	// Stall makes every connection hang until it is lifted, as a network that
	// passes nothing on: requests that run or come, their answers, connections
	// and pings wait, and go on afterwards as if nothing had been.
	Stall bool
}

// Shape is the part of the faults that is about the form of answers.
func (f *Faults) Shape() changes.Shape {
	rows := f.RowsPerFrame
	if f.OneRowPerFrame || f.NullArrays {
		rows = 1
	}
	return changes.Shape{NullArrays: f.NullArrays, NullParents: f.NullParents, SeparateChildren: f.SeparateChildren,
		NoChild: f.NoChildRecord, Silent: f.Silent, Rows: rows, TokenLife: f.TokenLife}
}

// Switch holds the faults in force; they may change at any time.
type Switch struct {
	now     atomic.Pointer[state]
	commits atomic.Int64
	mu      sync.Mutex // of Set
}

// state is the faults in force and what the connections that they stall wait for.
type state struct {
	Faults
	lifted chan struct{} // closed when the stall ends; nil without one
}

// Set puts faults in force, in place of those before.
func (s *Switch) Set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, before := &state{Faults: f}, s.now.Load()
	if f.Stall {
		next.lifted = make(chan struct{})
	}
	s.now.Store(next)
	if before != nil && before.lifted != nil {
		close(before.lifted) // a stall that goes on is found by looking again
	}
}

// Get is the faults in force.
func (s *Switch) Get() *Faults {
	if now := s.now.Load(); now != nil {
		return &now.Faults
	}
	return &Faults{}
}

// stalled is closed when the stall in force is lifted; nil without one.
func (s *Switch) stalled() <-chan struct{} {
	if now := s.now.Load(); now != nil {
		return now.lifted
	}
	return nil
}

// AbortNow reports whether this commit is one to abort.
func (s *Switch) AbortNow() bool {
	n := s.Get().AbortEvery
	return n > 0 && s.commits.Add(1)%int64(n) == 0
}
