package service

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
)

// accessInterval is how long new keys and grants take at most to be in force.
const accessInterval = 2 * time.Second

func (s *Service) openGate(context.Context) (err error) {
	if s.gate, s.sources, err = openGate(s.cfg, s.log); s.gate != nil {
		s.sources.Changed, s.sources.Enrolled, s.sources.Reloaded = s.changeTopics, s.readKeys, s.telemetry.Reloaded
	}
	return err
}

// openGate opens the gate that a configuration asks for, nil if it asks for
// none, and what it is to be kept by.
func openGate(cfg *config.Loaded, log *slog.Logger) (g *access.Gate, s access.Sources, err error) {
	if !cfg.Secured() {
		return nil, s, nil
	}
	keys, file, err := cfg.ServerKeys()
	if err != nil {
		return nil, s, err
	}
	s.Keys = file
	policy, err := access.ParsePolicy(nil) // lets nobody in
	if cfg.AccessFile != "" {
		s.Policy, policy, err = access.OpenPolicy(cfg.AccessFile)
	}
	if err != nil {
		return nil, s, err
	}
	g = access.NewGate(access.NewBook(policy, time.Now), keys, cfg.CurveRotationOffset, log)
	forwarders, forwardersFile, err := cfg.ForwarderKeys()
	if err != nil {
		return nil, s, err
	}
	g.SetForwarderKeys(forwarders)
	s.Forwarders = forwardersFile
	return g, s, nil
}

// credentials are those that forwarders want; nil: they want none.
func (s *Service) credentials() func() *access.Credentials {
	if !s.cfg.ConnectSecured() {
		return nil
	}
	return s.gate.Credentials
}

// audiences are those of the access file.
func (s *Service) audiences() []publisher.Audience {
	if s.gate == nil {
		return nil
	}
	var out []publisher.Audience
	for _, a := range s.gate.Book().Policy().Audiences {
		p := publisher.Audience{Name: a.Name, Topics: a.Topics, Bind: a.Endpoints}
		directory := a.Name
		if len(a.Endpoints) == 0 {
			p.Bind, p.Connect, directory = s.cfg.Bind, s.cfg.Connect, ""
		}
		p.Hello = func() message.HelloBody { return s.hello(directory) }
		out = append(out, p)
	}
	return out
}

// changeTopics follows a new access file.
func (s *Service) changeTopics(p *access.Policy) {
	for _, a := range p.Audiences {
		s.pub.SetTopics(a.Name, a.Topics)
	}
}

func (s *Service) watchAccess(ctx context.Context) {
	if s.gate != nil {
		s.gate.Watch(ctx, accessInterval, s.sources)
	}
}

// directory lists where the fleet is told that this replica publishes. The
// endpoints of an audience that has its own are written audience=endpoint.
func (s *Service) directory() []string {
	if s.gate == nil {
		return advertised(s.cfg.Advertise, reachable(s.pub.Endpoints()))
	}
	var out []string
	for _, a := range s.gate.Book().Policy().Audiences {
		bound := firstOf(s.pub.Bound(a.Name))
		for _, e := range advertised(s.advertised(a), bound) {
			if len(a.Endpoints) > 0 {
				e = a.Name + "=" + e
			}
			out = append(out, e)
		}
	}
	return out
}

func advertised(configured, bound []string) []string {
	if len(configured) > 0 {
		return slices.Clone(configured)
	}
	return bound
}

// firstOf are the endpoints with the first server key.
func firstOf(bound []access.Bound) []string {
	var out []string
	for _, b := range bound {
		if b.Key == bound[0].Key {
			out = append(out, b.Endpoint)
		}
	}
	return reachable(out)
}

// endpointsOf are those of an audience among those of a replica; the empty name
// is the audience of SPANCAST_BIND.
func endpointsOf(audience string, endpoints []string) []string {
	out := []string{}
	for _, e := range endpoints {
		name, endpoint, named := strings.Cut(e, "=")
		if !named || strings.Contains(name, ":") {
			name, endpoint = "", e
		}
		if name == audience {
			out = append(out, endpoint)
		}
	}
	return out
}
