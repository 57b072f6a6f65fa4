package service

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/access/enroll"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/message"
)

// maxKeys is the number of keys that an enrolled identity can have at once.
const maxKeys = 10

// enrolment is the handler of POST /v1/enroll, nil when there are no issuers.
func (s *Service) enrolment() http.Handler {
	if s.gate == nil || len(s.cfg.OIDCIssuers) == 0 {
		return nil
	}
	keys := s.keys()
	return enroll.NewServer(enroll.Options{
		Issuers: s.cfg.OIDCIssuers, Audience: s.cfg.OIDCAudience, Policy: s.gate.Book().Policy, Answer: s.enrolled, Log: s.log,
		Put: func(ctx context.Context, g access.Grant, created time.Time) error {
			err := keys.Put(ctx, checkpoint.Key{PublicKey: g.Key.String(), Identity: g.Identity, Audiences: g.Audiences, Topics: g.Topics,
				Tables: g.Tables, CreatedAt: created, ExpiresAt: g.Expires}, maxKeys)
			switch {
			case errors.Is(err, checkpoint.ErrKeyTaken):
				return enroll.ErrTaken
			case errors.Is(err, checkpoint.ErrTooMany):
				return enroll.ErrTooMany
			}
			return err
		},
	})
}

func (s *Service) keys() *checkpoint.Keys {
	return checkpoint.NewKeys(s.store, string(s.cfg.MetadataPrefix))
}

// readKeys reads the enrolled keys. A row that is not one is left out: nobody
// gets in by it.
func (s *Service) readKeys(ctx context.Context) ([]access.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rows, err := s.keys().All(ctx)
	if err != nil {
		return nil, err
	}
	var out []access.Grant
	for _, r := range rows {
		key, err := access.ParsePublicKey(r.PublicKey)
		if err != nil || !access.ValidIdentity(r.Identity) || r.ExpiresAt.IsZero() {
			continue
		}
		out = append(out, access.Grant{Key: key, Identity: r.Identity, Audiences: r.Audiences, Topics: r.Topics, Tables: r.Tables, Expires: r.ExpiresAt})
	}
	return out, nil
}

// enrolled says where a grant is good: here. The hello of each audience tells of
// the others of the fleet.
func (s *Service) enrolled(g access.Grant) message.EnrollAnswer {
	a := message.EnrollAnswer{Identity: g.Identity, Expires: g.Expires, Topics: g.Topics, Tables: g.Tables, Audiences: []message.EnrollAudience{}, Recover: []message.EnrollEndpoint{}}
	for _, audience := range s.gate.Book().Policy().Audiences {
		if slices.Contains(g.Audiences, audience.Name) {
			a.Audiences = append(a.Audiences, message.EnrollAudience{Name: audience.Name, Topics: audience.Topics, Publish: s.places(s.advertised(audience), s.pub.Bound(audience.Name))})
		}
	}
	if s.recovery != nil && len(g.Topics)+len(g.Tables) > 0 {
		a.Recover = s.places(nil, s.recovery.Bound())
		for i := range a.Recover {
			a.Recover[i].Endpoint = withHost([]string{a.Recover[i].Endpoint}, s.cfg.Advertise)[0]
		}
	}
	return a
}

// places are endpoints as others reach them, with their server keys.
func (s *Service) places(configured []string, bound []access.Bound) []message.EnrollEndpoint {
	out := []message.EnrollEndpoint{}
	for i, key := range s.gate.ServerKeys() {
		endpoints := advertised(shifted(configured, i*s.cfg.CurveRotationOffset), of(bound, key))
		for _, e := range endpoints {
			out = append(out, message.EnrollEndpoint{Endpoint: e, ServerKey: key.Public().String()})
		}
	}
	return out
}

func shifted(endpoints []string, by int) []string {
	var out []string
	for _, e := range endpoints {
		out = append(out, access.Shift(e, by))
	}
	return out
}

func of(bound []access.Bound, key access.SecretKey) []string {
	var out []string
	for _, b := range bound {
		if b.Key == key.Public() {
			out = append(out, b.Endpoint)
		}
	}
	return reachable(out)
}

// advertised are the endpoints that subscribers of an audience are told by the
// configuration.
func (s *Service) advertised(a access.Audience) []string {
	if len(a.Endpoints) == 0 {
		return s.cfg.Advertise
	}
	return a.Advertise
}
