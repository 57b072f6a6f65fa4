package service

import (
	"cmp"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/cmd/spancast/internal/web"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/recovery"
)

// crowd is who is subscribed here, and to what.
func crowd(s publisher.Survey) ([]web.Subscription, []web.Subscriber, []web.Audience) {
	subscriptions, subscribers, audiences := []web.Subscription{}, []web.Subscriber{}, []web.Audience{}
	for _, x := range s.Subscriptions {
		subscriptions = append(subscriptions, web.Subscription{Prefix: x.Prefix, Count: x.Count})
	}
	for _, x := range s.Subscribers {
		subscribers = append(subscribers, web.Subscriber{Identity: x.Identity, Address: x.Peer, Audience: x.Audience, Since: x.Since.UTC(),
			Prefixes: append([]string{}, x.Prefixes...), More: x.More, Unsent: x.Unsent})
	}
	for _, x := range s.Audiences {
		audiences = append(audiences, web.Audience{Name: cmp.Or(x.Name, access.Everyone), Subscribers: x.Subscribers, Dropped: x.Dropped})
	}
	return subscriptions, subscribers, audiences
}

// recoveries is what the recovery endpoint does.
func (s *Service) recoveries() []web.Recovery {
	out := []web.Recovery{}
	if s.recovery == nil {
		return out
	}
	for _, a := range s.recovery.Survey().Answers {
		out = append(out, web.Recovery{Identity: a.Identity, ID: a.ID, Kind: string(a.Kind), State: string(a.State), Before: a.Before,
			What: append([]string{}, a.What...), From: a.From, To: a.To, Reached: a.Reached, Since: a.Since.UTC(), Sent: a.Changes, Bytes: a.Bytes,
			Credit: web.Credit(a.Credit)})
	}
	return out
}

// recovered tells of a replay or snapshot that has ended.
func (s *Service) recovered(e recovery.Ended) {
	ctx := s.telemetry.Recovered(e)
	s.log.InfoContext(ctx, "recovery ended", "identity", e.Identity, "kind", e.Kind, "reason", e.Reason, "messages", e.Changes, "bytes", e.Bytes,
		"took", time.Since(e.Since).Round(time.Millisecond))
}
