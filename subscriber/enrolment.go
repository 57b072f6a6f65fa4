package subscriber

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber/enroll"
)

// An Enrolment is how to be let in by an ID token: what a service answers says
// where to connect, and by which keys the servers are known. It is asked again
// when half of the grant's life is over.
type Enrolment struct {
	URL    string        // of a service, for example https://spancast.example.com
	Token  enroll.Source // for example enroll.Metadata("spancast")
	CAFile string        // PEM file of those who vouch for the service's certificate; empty: those of the system
	// AllowInsecure lets the token be sent in clear to another machine.
	AllowInsecure bool
	// Audience is the name of the one to subscribe to; empty: the only one of the
	// grant, or the first that sees all of Options.Topics.
	Audience string
}

// client asks for grants for a secret key.
func (e *Enrolment) client(secret string) (*enroll.Client, error) {
	public, err := zmq.AuthCurvePublic(secret)
	if err != nil {
		return nil, fmt.Errorf("SecretKey: %w", err)
	}
	return &enroll.Client{URL: e.URL, Token: e.Token, Key: public, CAFile: e.CAFile, AllowInsecure: e.AllowInsecure}, nil
}

// check says what is wrong with it.
func (e *Enrolment) check() error {
	if e.Token == nil {
		return errors.New("no source of ID tokens")
	}
	c := enroll.Client{URL: e.URL, CAFile: e.CAFile, AllowInsecure: e.AllowInsecure}
	return c.Check()
}

// audience is the one of a grant to subscribe to.
func (e *Enrolment) audience(a *message.EnrollAnswer, topics []string) (*message.EnrollAudience, error) {
	var names []string
	for i := range a.Audiences {
		switch one := &a.Audiences[i]; {
		case e.Audience == one.Name, e.Audience == "" && (len(a.Audiences) == 1 || coverAll(one.Topics, topics)):
			return one, nil
		default:
			names = append(names, one.Name)
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%w: the grant of %s has no audience; Follow does without", ErrRefused, a.Identity)
	case e.Audience == "":
		return nil, fmt.Errorf("%w: none of the audiences %s sees all the topics; name one", ErrRefused, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%w: the grant of %s has no audience %s, but %s", ErrRefused, a.Identity, e.Audience, strings.Join(names, ", "))
}

func coverAll(prefixes, topics []string) bool {
	return !slices.ContainsFunc(topics, func(topic string) bool {
		return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(topic, p) })
	})
}

// places are where a grant is good.
type places struct{ publish, recover []message.EnrollEndpoint }

// endpoints are the first of each server.
func endpoints(of []message.EnrollEndpoint) (out []string) {
	for _, e := range of {
		out = append(out, e.Endpoint)
	}
	return out
}

// ring are the keys of the servers behind endpoints, and of those that are not
// known: the first.
func (p *places) ring() (server string, of map[string]string) {
	of = make(map[string]string)
	for _, e := range slices.Concat(p.publish, p.recover) {
		if server == "" {
			server = e.ServerKey
		}
		of[e.Endpoint] = e.ServerKey
	}
	return server, of
}

// A membership is what keeps a subscriber enrolled while it runs.
type membership struct {
	opt    *Options
	client *enroll.Client
	last   message.EnrollAnswer
	news   chan places
	end    sync.WaitGroup
}

const (
	enrollRetryFirst = 500 * time.Millisecond
	enrollRetryLast  = 15 * time.Second
)

// join enrols, and tries again as long as that may help.
func join(ctx context.Context, o *Options) (m *membership, p places, err error) {
	m = &membership{opt: o, news: make(chan places, 1)}
	if m.client, err = o.Enroll.client(o.SecretKey); err != nil {
		return nil, p, err
	}
	for wait := enrollRetryFirst; ; wait = min(2*wait, enrollRetryLast) {
		m.last, err = m.client.Enroll(ctx)
		if err == nil {
			o.Log.Info("enrolled", "identity", m.last.Identity, "expires", m.last.Expires)
			p, err = m.places(m.last)
			return m, p, err
		}
		var refused *enroll.Refused
		switch {
		case ctx.Err() != nil:
			return nil, p, ctx.Err()
		case errors.Is(err, enroll.ErrInsecure):
			return nil, p, err
		case errors.As(err, &refused) && refused.Lasting():
			return nil, p, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		o.Log.Warn("not enrolled yet, trying again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return nil, p, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// places are those of a grant.
func (m *membership) places(a message.EnrollAnswer) (p places, err error) {
	p.recover = a.Recover
	audience, err := m.opt.Enroll.audience(&a, m.opt.Topics)
	if audience != nil {
		p.publish = audience.Publish
	} else if m.opt.Follow && len(p.recover) > 0 {
		err = nil
	}
	return p, err
}

// keep renews the grant until ctx is done; wait for end after that. What is new
// is in news.
func (m *membership) keep(ctx context.Context) {
	m.end.Go(func() {
		m.client.Keep(ctx, m.last, func(a message.EnrollAnswer, err error) {
			var p places
			if err == nil {
				m.last = a
				p, err = m.places(a)
			}
			if err != nil {
				m.opt.Log.Error("the grant is not renewed, trying again", "error", err, "expires", m.last.Expires)
				return
			}
			m.opt.Log.Debug("the grant is renewed", "identity", a.Identity, "expires", a.Expires)
			select {
			case <-m.news: // nobody has looked at the last
			default:
			}
			m.news <- p
		})
	})
}

// join enrols, if that is asked for, puts into cfg where to connect, and keeps the
// grant alive until leave is called.
func (r *run) join(ctx context.Context, cfg *config) (k keys, leave func(), err error) {
	k = keys{server: r.opt.ServerKey, secret: r.opt.SecretKey}
	if r.opt.Enroll == nil {
		return k, func() {}, nil
	}
	if r.member, r.enrolled, err = join(ctx, &r.opt); err != nil {
		return k, nil, err
	}
	k.server, k.of = r.enrolled.ring()
	cfg.connect, cfg.recover = append(endpoints(r.enrolled.publish), cfg.connect...), append(endpoints(r.enrolled.recover), cfg.recover...)
	ctx, stop := context.WithCancel(ctx)
	r.member.keep(ctx)
	return k, func() { stop(); r.member.end.Wait() }, nil
}

// follow goes where a renewed grant says.
func (r *run) follow() error {
	if r.member == nil {
		return nil
	}
	select {
	case in := <-r.member.news:
		k := keys{secret: r.opt.SecretKey}
		k.server, k.of = in.ring()
		var left []string
		for _, e := range endpoints(r.enrolled.publish) {
			if !slices.Contains(endpoints(in.publish), e) {
				left = append(left, e)
			}
		}
		r.m.cfg.connect = append(endpoints(in.publish), r.opt.Connect...)
		r.m.cfg.recover = append(endpoints(in.recover), r.opt.Recover...)
		r.enrolled = in
		if err := r.z.move(k, endpoints(in.publish), left); err != nil {
			return fmt.Errorf("after a renewal: %w", err)
		}
	default:
	}
	return nil
}
