package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/telemetry"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
	"github.com/spancast/spancast/cmd/spancast/internal/web"
)

// A webServer answers over HTTP. The port is taken when the service is opened,
// so that one that is in use is noticed before anything is read.
type webServer struct {
	level    *slog.LevelVar
	listener net.Listener // nil when there is none to be
	pages    *web.Server
	server   *http.Server
}

// listen takes the port.
func (w *webServer) listen(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("%s_HTTP: listen on %s: %w; choose another port, or none", config.Prefix, address, err)
	}
	w.listener = l
	return nil
}

// open prepares the answers. The port must have been taken.
func (w *webServer) open(o web.Options) {
	host, _, _ := net.SplitHostPort(w.listener.Addr().String())
	ip := net.ParseIP(host)
	o.Loopback, o.Level = ip != nil && ip.IsLoopback(), w.level
	w.pages = web.New(o)
	w.server = &http.Server{Handler: w.pages, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
}

// serve answers until ctx is done.
func (w *webServer) serve(ctx context.Context) {
	if w.listener == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.pages.Run(ctx) // sends away who listens to events
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), webTimeout)
		defer cancel()
		if w.server.Shutdown(end) != nil {
			w.server.Close()
		}
	}()
	w.server.Serve(w.listener)
	<-done
}

// webTimeout is how long answers that are being given may take at the end.
const webTimeout = 500 * time.Millisecond

func (w *webServer) close() {
	if w.listener != nil {
		w.listener.Close()
	}
}

func (w *webServer) address() string {
	if w.listener == nil {
		return ""
	}
	return w.listener.Addr().String()
}

func (s *Service) openWeb(ctx context.Context) error {
	err := s.telemetry.Observe(telemetry.Sources{
		Stream: s.stream.Stats(), Publisher: s.pub.Stats(), Survey: s.pub.Survey, Resolved: s.stream.Resolved, Owned: s.stream.Owned,
		Replicas:  func() int { return len(s.stream.Replicas()) },
		View:      func() changestream.View { v, _ := s.kept.Latest(); return v },
		Ready:     func() bool { return len(s.reasons()) == 0 },
		Retention: s.info.Retention, MaxBuffer: int64(s.cfg.MaxBuffer), Version: version.Number,
	})
	if err != nil {
		return fmt.Errorf("prepare the metrics: %w", err)
	}
	if s.cfg.HTTP == "" {
		return nil
	}
	if err := s.web.listen(ctx, string(s.cfg.HTTP)); err != nil {
		return err
	}
	s.web.open(web.Options{
		Status: s.status, Sample: s.sample, Endpoints: func() any { return s.hello() },
		Live: s.dead, Ready: s.reasons, Startup: s.starting,
		Metrics: s.telemetry.Handler(), Profile: s.cfg.Profile, Log: s.log,
	})
	return nil
}

func (s *Service) openTelemetry(ctx context.Context) (err error) {
	s.telemetry, err = telemetry.Open(ctx, telemetry.Options{Service: "spancast", Instance: s.replica.ID, Version: version.Number, Log: s.log})
	return err
}

// telemetryTimeout is how long the end of telemetry may take.
const telemetryTimeout = time.Second

func (s *Service) closeTelemetry() {
	if s.telemetry == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), telemetryTimeout)
	defer cancel()
	if err := s.telemetry.Close(ctx); err != nil {
		s.log.Warn("the last metrics and spans could not be sent", "error", err)
	}
}

// Page is where the status page is, empty if there is none.
func (s *Service) Page() string {
	if address := s.web.address(); address != "" {
		return "http://" + address + "/"
	}
	return ""
}
