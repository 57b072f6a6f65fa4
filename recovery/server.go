package recovery

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/spancast/spancast/access"
)

// A Server answers requests for replays and snapshots.
type Server struct {
	opt    Options
	socket *socket
	stats  Stats

	surveyed atomic.Pointer[Survey]
}

// Stats count what a server does.
type Stats struct {
	Requests atomic.Uint64 // for replays and snapshots that were accepted
	Refused  atomic.Uint64 // requests that were not
	Dropped  atomic.Uint64 // answers that ended because the client had gone, or granted nothing
	Changes  atomic.Uint64 // changes and rows that were sent
	Bytes    atomic.Uint64 // of their frames
	Running  atomic.Int64  // answers that are worked on, those that are live not counted
	Live     atomic.Int64  // replays without end that have caught up
	Waiting  atomic.Int64  // requests in line
	Buffered atomic.Int64  // bytes held for answers
}

// New opens the socket and binds it. Run must follow.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	s, err := open(&o)
	if err != nil {
		return nil, err
	}
	return &Server{opt: o, socket: s}, nil
}

// Endpoints are those that were bound, with the ports that were chosen for 0
// and *.
func (s *Server) Endpoints() []string { return s.socket.listener.Endpoints() }

// Bound are the endpoints that are bound, with their server keys.
func (s *Server) Bound() []access.Bound { return s.socket.listener.Bound() }

// Stats are the server's counters, live.
func (s *Server) Stats() *Stats { return &s.stats }

// Run owns the socket until ctx is done, or it fails. It returns when every
// worker has ended and the socket is closed.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.socket.wake)
	defer stop()
	workers, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	o := newOwner(s, workers)
	err := o.loop(ctx)
	cancel()
	o.end()
	if !s.socket.close(s.opt.Linger) {
		s.opt.Log.Warn("the ROUTER socket did not end in time and is left behind", "linger", s.opt.Linger)
	}
	return err
}

// Close closes a server that was not run.
func (s *Server) Close() { s.socket.close(0) }
