package access

import (
	"context"
	"slices"
	"time"

	"github.com/spancast/spancast/internal/reload"
)

// Sources are where a gate's grants and keys come from. Each may be missing.
type Sources struct {
	Policy *PolicyFile
	Keys   *KeyFile
	// Forwarders are the public keys of those whom we connect to.
	Forwarders *PublicKeyFile
	Enrolled   func(context.Context) ([]Grant, error) // all that are in force
	// Changed is called when a policy was put in force.
	Changed func(*Policy)
	// Reloaded is called for every file that has changed, with what is wrong with
	// it.
	Reloaded func(error)
}

// Watch looks at the sources until ctx is done, puts what is new in force, within
// an interval, and ends what has ended. What cannot be read leaves the old in
// force, and is logged when it begins.
func (g *Gate) Watch(ctx context.Context, interval time.Duration, s Sources) {
	tick := time.NewTicker(interval / 2) // files count when they are the same at two looks
	defer tick.Stop()
	silent := false // the table cannot be read, and that was said
	for look := 0; ; look++ {
		follow(g, s, s.Policy, "the new access file is not used, the old one stays in force", func(p *Policy) { g.apply(p, s.Changed) })
		follow(g, s, s.Keys, "the new server keys are not used, the old ones stay", g.applyKeys)
		follow(g, s, s.Forwarders, "the new keys of forwarders are not used, the old ones stay", g.applyForwarders)
		if look%2 == 0 {
			silent = g.rereadEnrolled(ctx, s, silent)
		}
		g.Check()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// follow applies what a file has that has changed; what is wrong with it is
// logged.
func follow[T any](g *Gate, s Sources, f *reload.File[T], wrong string, apply func(T)) {
	if f == nil {
		return
	}
	v, changed, err := f.Reread()
	if changed && s.Reloaded != nil {
		s.Reloaded(err)
	}
	switch {
	case err != nil:
		g.log.Error(wrong, "error", err)
	case changed:
		apply(v)
	}
}

// apply puts a policy in force. Audiences have sockets, which are there from the
// start: what is new of those waits for the next one.
func (g *Gate) apply(p *Policy, changed func(*Policy)) {
	for _, a := range p.Audiences {
		i := slices.IndexFunc(g.book.Policy().Audiences, func(old Audience) bool { return old.Name == a.Name })
		if i < 0 || !slices.Equal(a.Endpoints, g.book.Policy().Audiences[i].Endpoints) {
			g.log.Error("the endpoints of an audience are bound when the service starts; start it again", "audience", a.Name)
		}
	}
	g.book.SetPolicy(p)
	if changed != nil {
		changed(p)
	}
	g.log.Info("a new access file is in force", "audiences", len(p.Audiences), "identities", len(p.Identities), "rules", len(p.Enrolment))
}

func (g *Gate) applyKeys(keys []SecretKey) {
	g.SetServerKeys(keys)
	var public []string
	for _, k := range keys {
		public = append(public, k.Public().String())
	}
	g.log.Info("new server keys are in use", "public", public)
}

func (g *Gate) applyForwarders(keys []PublicKey) {
	g.SetForwarderKeys(keys)
	g.log.Info("new keys of forwarders are in use", "public", keys)
}

func (g *Gate) rereadEnrolled(ctx context.Context, s Sources, silent bool) bool {
	if s.Enrolled == nil {
		return false
	}
	grants, err := s.Enrolled(ctx)
	if err != nil {
		if !silent && ctx.Err() == nil {
			g.log.Error("the enrolled keys cannot be read; those that are known stay until they expire", "error", err)
		}
		return true
	}
	g.book.SetEnrolled(grants)
	return false
}
