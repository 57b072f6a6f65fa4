package forward

import (
	"fmt"
	"time"

	"github.com/spancast/spancast/access"
)

// subscriptions tells publishers what subscribers want: each prefix once, when
// the first wants it, and when the last does not any more. So a publisher that
// counts its subscribers counts right, and nobody takes from others what they want.
func (f *Forwarder) subscriptions(now time.Time) error {
	for range burst {
		s, came, err := access.ReceiveSubscription(f.out)
		if err != nil {
			return err
		}
		if !came {
			f.wanted.Settled()
			return nil
		}
		if s == nil {
			continue
		}
		f.opt.Gate.SeenBy(access.AudienceDomain(f.opt.Audience), s)
		if !f.news(s, now) {
			continue
		}
		frame := append([]byte{0}, s.Prefix...)
		if s.On {
			frame[0] = 1
		}
		if _, err := f.in.SendBytes(frame, 0); err != nil {
			return fmt.Errorf("pass a subscription on: %w", err)
		}
	}
	return nil
}

// news notes a change, and tells whether publishers should know of it.
func (f *Forwarder) news(s *access.Subscription, now time.Time) bool {
	before := f.wanted.Of(s.Prefix)
	switch {
	case !f.wanted.Note(s, now):
		return false
	case s.On:
		f.stats.Subscriptions.Add(1)
		return before == 0
	}
	f.stats.Subscriptions.Add(-1)
	return before == 1
}
