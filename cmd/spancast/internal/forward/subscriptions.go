package forward

import (
	"fmt"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/internal/zsock"
)

// subscriptions tells publishers what subscribers want: each prefix once, when
// the first wants it, and when the last does not any more. So a publisher that
// counts its subscribers counts right.
func (f *Forwarder) subscriptions() error {
	for range burst {
		b, properties, err := f.out.RecvBytesWithMetadata(zmq.DONTWAIT, access.PropertyIdentity, access.PropertyKey, access.PropertyDescriptor)
		if err != nil {
			if zsock.IsNothing(err) {
				f.wanted.Settled()
				return nil
			}
			return fmt.Errorf("receive subscriptions: %w", err)
		}
		if f.opt.Gate != nil && properties[access.PropertyKey] != "" {
			f.opt.Gate.SeenWith(access.AudienceDomain(f.opt.Audience), properties)
		}
		if len(b) == 0 || b[0] > 1 || !f.news(string(b[1:]), b[0] == 1, properties[access.PropertyIdentity]) {
			continue
		}
		if _, err := f.in.SendBytes(b, 0); err != nil {
			return fmt.Errorf("pass a subscription on: %w", err)
		}
	}
	return nil
}

// news notes a change, and tells whether publishers should know of it.
func (f *Forwarder) news(prefix string, on bool, identity string) bool {
	before := f.wanted.Of(prefix)
	switch {
	case on:
		f.stats.Subscriptions.Add(1)
		f.wanted.Note(&access.Subscription{Prefix: prefix, On: true, Identity: identity}, time.Now())
		return before == 0
	case before == 0:
		return false
	}
	f.stats.Subscriptions.Add(-1)
	f.wanted.Note(&access.Subscription{Prefix: prefix, Identity: identity}, time.Now())
	return before == 1
}
