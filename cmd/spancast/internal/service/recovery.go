package service

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/recovery"
)

// openRecovery opens the recovery endpoint, which makes its messages exactly as
// the publisher does.
func (s *Service) openRecovery(context.Context) (err error) {
	if len(s.cfg.RecoveryBind) == 0 {
		return nil
	}
	o := recovery.Defaults()
	o.Bind, o.Epoch, o.Linger = s.cfg.RecoveryBind, s.replica.Epoch, linger
	o.Info, o.Dial, o.Role, o.Client = s.info, connect.Dialer(s.cfg.Source()), s.cfg.DatabaseRole, s.source
	o.Gate, o.QueryWindow, o.Heartbeat = s.cfg.Source().PlainText, s.cfg.QueryWindow, s.cfg.Heartbeat
	o.Router, o.NewBody, o.BodyFormat, o.Ignore = s.router.Load, s.newBody(), string(s.cfg.Format), ownTable(s.cfg)
	o.Access, o.Hello, o.Log = s.gate, func() message.HelloBody { return s.hello("") }, s.log
	o.Ended = s.recovered
	if s.recovery, err = recovery.New(o); err != nil {
		return fmt.Errorf("%s_RECOVERY_BIND: %w", config.Prefix, err)
	}
	s.replica.Recover = withHost(firstOf(s.recovery.Bound()), s.cfg.Advertise)
	return nil
}

// recover serves the recovery endpoint until ctx is done.
func (s *Service) recover(ctx context.Context) error {
	if s.recovery == nil {
		<-ctx.Done() // there is nothing to fail
		return nil
	}
	return s.recovery.Run(ctx)
}

// withHost replaces the hosts of endpoints by the one that is advertised, if one
// is, and keeps their ports.
func withHost(endpoints, advertised []string) []string {
	var host string
	for _, e := range advertised {
		if address, ok := strings.CutPrefix(e, "tcp://"); ok && host == "" {
			host, _, _ = net.SplitHostPort(address)
		}
	}
	if host == "" {
		return endpoints
	}
	out := make([]string, len(endpoints))
	for i, e := range endpoints {
		out[i] = e
		if address, ok := strings.CutPrefix(e, "tcp://"); ok {
			if _, port, err := net.SplitHostPort(address); err == nil {
				out[i] = "tcp://" + net.JoinHostPort(host, port)
			}
		}
	}
	return out
}
