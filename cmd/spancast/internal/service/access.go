package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
)

// accessInterval is how often keys and grants are looked at.
const accessInterval = 2 * time.Second

func (s *Service) openGate(context.Context) error {
	if !s.cfg.Secured() {
		return nil
	}
	keys, file, err := s.cfg.ServerKeys()
	if err != nil {
		return err
	}
	s.sources = access.Sources{Keys: file, Changed: s.changeTopics}
	var policy *access.Policy
	if s.sources.Policy, policy, err = access.OpenPolicy(s.cfg.AccessFile); err != nil {
		return err
	}
	s.sources.Enrolled = s.readKeys
	s.gate = access.NewGate(access.NewBook(policy, time.Now), keys, s.cfg.CurveRotationOffset, s.log)
	return nil
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
