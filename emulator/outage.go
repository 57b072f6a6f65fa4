package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

const (
	upWithin = 10 * time.Second      // for the port to be free
	upAgain  = 20 * time.Millisecond // until the next try
)

// Restart breaks all connections and running requests, as the crash of a
// server would, and listens again on the same address with all data kept.
// Transactions that are open stay open, as those of Spanner do.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(); err != nil {
		return fmt.Errorf("restart emulator: %w", err)
	}
	if err := s.listen(ctx); err != nil {
		return fmt.Errorf("restart emulator: %w", err)
	}
	return nil
}

// Down is the first half of Restart: an outage, in which connections are
// refused until Up. The data is kept, time goes on, partitions change. A
// second call does nothing.
func (s *Server) Down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(); err != nil {
		return fmt.Errorf("emulator down: %w", err)
	}
	return nil
}

// Up ends the outage that Down began, on the same address; without one it does
// nothing. It waits up to 10 s for the address if something else has it.
func (s *Server) Up(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.listen(ctx); err != nil {
		return fmt.Errorf("emulator up: %w", err)
	}
	return nil
}

func (s *Server) stop() error {
	if s.closed {
		return net.ErrClosed
	}
	s.down = true
	return s.api.Stop()
}

// listen serves again. Between stop and listen the port belongs to nobody: the
// system may lend it to an outgoing connection, even to that of a client which
// looks for this server, and then it is free again in a moment.
func (s *Server) listen(ctx context.Context) error {
	if s.closed {
		return net.ErrClosed
	}
	if !s.down {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
		if err == nil {
			s.down = false
			s.api.Serve(listener)
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || ctx.Err() != nil {
			return err
		}
		rest(ctx, upAgain)
	}
}

// Close ends the Server: running requests fail, and all it started has ended
// when it returns. A second call does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.cancel()
	<-s.done
	return s.api.Stop()
}
