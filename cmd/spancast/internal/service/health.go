package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// health answers /healthz/live and /healthz/ready. The port is taken when the
// service is opened, so that one that is in use is noticed before anything is
// read.
type health struct {
	listener net.Listener // nil when there is none to be
	server   *http.Server
}

func (s *Service) openHealth(ctx context.Context) error {
	s.health = &health{}
	if s.cfg.HTTP == "" {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", string(s.cfg.HTTP))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("%s_HTTP: listen on %s: %w; choose another port, or none", config.Prefix, s.cfg.HTTP, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.reasons()) })
	if h := s.enrolment(); h != nil {
		mux.Handle("POST /v1/enroll", h)
	}
	s.health.listener = l
	s.health.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	return nil
}

// reasons says why the service is not ready, if it is not.
func (s *Service) reasons() []string {
	if s.leaving.Load() {
		return []string{"the service is ending"}
	}
	trouble := s.stream.Trouble()
	if s.gate != nil {
		trouble = append(trouble, s.gate.Trouble()...)
	}
	return trouble
}

func answer(w http.ResponseWriter, reasons []string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(map[string]any{"ok": len(reasons) == 0, "reasons": append([]string{}, reasons...)})
}

// serve answers until ctx is done.
func (h *health) serve(ctx context.Context) {
	if h.listener == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { h.server.Close() })
	defer stop()
	h.server.Serve(h.listener)
}

func (h *health) close() {
	if h.listener != nil {
		h.listener.Close()
	}
}

// reportInterval is how often the service says in its log how it is doing.
const reportInterval = time.Minute

func (s *Service) report(ctx context.Context) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			own, fleet := s.stream.Resolved()
			p, r := s.pub.Stats(), s.stream.Stats()
			s.log.Info("status", "partitions", s.stream.Owned(), "resolved", own, "fleet_resolved", fleet, "messages", p.Messages.Load(),
				"subscriptions", p.Subscriptions.Load(), "slow", p.Slow.Load(), "buffered_bytes", p.Buffered.Load(),
				"retries", r.Retries.Load(), "early_ends", r.EarlyEnds.Load(), "gaps", r.Gaps.Load())
		}
	}
}
