package service

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/telemetry"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
	"github.com/spancast/spancast/cmd/spancast/internal/web"
	"github.com/spancast/spancast/recovery"
)

func (s *Service) openWeb(ctx context.Context) error {
	recovered := new(recovery.Stats)
	if s.recovery != nil {
		recovered = s.recovery.Stats()
	}
	err := s.telemetry.Observe(telemetry.Sources{
		Stream: s.stream.Stats(), Publisher: s.pub.Stats(), Recovery: recovered, Access: gateStats(s.gate), Survey: s.pub.Survey, Resolved: s.stream.Resolved, Owned: s.stream.Owned,
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
	var certificate *web.Certificate
	if s.web, certificate, err = listenHTTP(ctx, s.cfg, s.log, s.telemetry.Reloaded); err != nil {
		return err
	}
	routes := make(map[string]http.Handler)
	if h := s.enrolment(); h != nil {
		routes["POST /v1/enroll"] = h
	}
	s.web.Open(web.Options{
		Level: s.level, Status: s.status, Sample: s.sample, Endpoints: func() any { return s.hello("") },
		Live: s.dead, Ready: s.reasons, Startup: s.starting,
		Metrics: s.telemetry.Handler(), Profile: s.cfg.Profile, Certificate: certificate, Routes: routes, Log: s.log,
	})
	return nil
}

// gateStats are a gate's counters; zeros of none.
func gateStats(g *access.Gate) *access.Stats {
	if g == nil {
		return new(access.Stats)
	}
	return g.Stats()
}

// listenHTTP takes the port of HTTP and reads the certificate, if there is to be one.
func listenHTTP(ctx context.Context, cfg *config.Loaded, log *slog.Logger, reloaded func(error)) (l *web.Listener, c *web.Certificate, err error) {
	if cfg.HTTPSecured() {
		if c, err = web.OpenCertificate(cfg.HTTPCertFile, cfg.HTTPKeyFile, log, reloaded); err != nil {
			return nil, nil, fmt.Errorf("%s_HTTP_CERT_FILE: %w", config.Prefix, err)
		}
	}
	if l, err = web.Listen(ctx, string(cfg.HTTP)); err != nil {
		return nil, nil, fmt.Errorf("%s_HTTP: %w; choose another port, or none", config.Prefix, err)
	}
	return l, c, nil
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
func (s *Service) Page() string { return s.web.Page() }
