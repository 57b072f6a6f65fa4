package access

import (
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Grant is what the owner of one key may have.
type Grant struct {
	Key       PublicKey
	Identity  string
	Audiences []string  // names of those whose endpoints it may connect to
	Topics    []string  // prefixes that it may ask of the recovery endpoint
	Tables    []string  // names or globs of tables that it may have snapshots of
	Publishes bool      // whether it may publish through a forwarder
	Expires   time.Time // zero: never
}

// alive tells whether the grant is in force.
func (g *Grant) alive(now time.Time) bool { return g.Expires.IsZero() || now.Before(g.Expires) }

// Rights are what an identity may ask of the recovery endpoint.
type Rights struct {
	Topics []string
	Tables []string
}

// Topic tells whether everything under a prefix may be had.
func (r Rights) Topic(prefix string) bool { return Covers(r.Topics, prefix) }

// Table tells whether a table may be read. The empty name stands for all tables.
func (r Rights) Table(name string) bool {
	return slices.ContainsFunc(r.Tables, func(glob string) bool {
		if name == "" {
			return glob == "*"
		}
		ok, _ := path.Match(glob, name)
		return ok || glob == "*"
	})
}

// Covers tells whether everything under prefix is under one of topics.
func Covers(topics []string, prefix string) bool {
	return slices.ContainsFunc(topics, func(t string) bool { return strings.HasPrefix(prefix, t) })
}

// Domain is what a connection is let into: an audience, the recovery endpoint, or
// a forwarder's socket for publishers. It is the domain of ZAP.
type Domain string

// Publishers is the domain of a forwarder's socket for publishers.
const Publishers Domain = "publishers"

// Recovery is the domain of the recovery endpoint: for everybody who may ask
// something of it.
const Recovery Domain = "recovery"

// AudienceDomain is the domain of an audience.
func AudienceDomain(name string) Domain { return Domain("audience/" + name) }

// A Verdict on a connection.
type Verdict int

// The verdicts. What is unknown may be known a little later, so that those who
// are refused for that may try again.
const (
	Unknown Verdict = iota
	Welcome
	Never
)

// A Book holds the grants that are in force. It may be used by any number of
// goroutines.
type Book struct {
	now func() time.Time

	mu       sync.Mutex // of the two that follow
	policy   *Policy
	enrolled []Grant

	page atomic.Pointer[page]
}

// A page is what a book says at one time. It does not change.
type page struct {
	policy     *Policy
	grants     map[PublicKey]*Grant
	identities map[string][]*Grant
	revoked    map[PublicKey]bool
}

// NewBook returns a book in which a policy is in force. Now is the clock of
// expiries, for example time.Now.
func NewBook(p *Policy, now func() time.Time) *Book {
	b := &Book{now: now, policy: p}
	b.write()
	return b
}

// Policy is the one in force.
func (b *Book) Policy() *Policy { return b.page.Load().policy }

// SetPolicy puts a policy in force.
func (b *Book) SetPolicy(p *Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.policy = p
	b.write()
}

// SetEnrolled replaces the grants that were enrolled.
func (b *Book) SetEnrolled(grants []Grant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.enrolled = slices.Clone(grants)
	b.write()
}

// write begins a new page. What the policy says of a key outweighs what was
// enrolled.
func (b *Book) write() {
	p := &page{policy: b.policy, grants: make(map[PublicKey]*Grant), identities: make(map[string][]*Grant), revoked: make(map[PublicKey]bool)}
	for _, k := range b.policy.Revoked.Keys {
		p.revoked[k] = true
	}
	for i := range b.enrolled {
		g := &b.enrolled[i]
		p.grants[g.Key] = g
	}
	for _, id := range b.policy.Identities {
		audiences, publishes := b.policy.audiencesOf(id.Name), anyMatches(b.policy.Publishers, id.Name)
		for _, k := range id.Keys {
			p.grants[k] = &Grant{Key: k, Identity: id.Name, Audiences: audiences, Topics: id.Topics, Tables: id.Tables, Publishes: publishes, Expires: id.Expires}
		}
	}
	maps.DeleteFunc(p.grants, func(k PublicKey, g *Grant) bool {
		if slices.Contains(b.policy.Revoked.Identities, g.Identity) {
			p.revoked[k] = true
		}
		return p.revoked[k]
	})
	for _, g := range p.grants {
		p.identities[g.Identity] = append(p.identities[g.Identity], g)
	}
	b.page.Store(p)
}

func (p *Policy) audiencesOf(identity string) []string {
	var out []string
	for _, a := range p.Audiences {
		if anyMatches(a.Identities, identity) {
			out = append(out, a.Name)
		}
	}
	return out
}

func anyMatches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { ok, _ := path.Match(glob, name); return ok || glob == "*" })
}

// Admit tells whether a key may connect to a domain, and as whom.
func (b *Book) Admit(d Domain, key PublicKey) (*Grant, Verdict) {
	p := b.page.Load()
	if p.revoked[key] {
		return nil, Never
	}
	g := p.grants[key]
	if g == nil || !g.alive(b.now()) || !g.admits(d) {
		return g, Unknown
	}
	return g, Welcome
}

func (g *Grant) admits(d Domain) bool {
	switch d {
	case Recovery:
		return len(g.Topics)+len(g.Tables) > 0
	case Publishers:
		return g.Publishes
	}
	name, isAudience := strings.CutPrefix(string(d), "audience/")
	return isAudience && slices.Contains(g.Audiences, name)
}

// Rights are those of an identity, of all its keys together. An identity that
// has no key in force has none.
func (b *Book) Rights(identity string) Rights {
	var r Rights
	for _, g := range b.page.Load().identities[identity] {
		if g.alive(b.now()) {
			r.Topics, r.Tables = append(r.Topics, g.Topics...), append(r.Tables, g.Tables...)
		}
	}
	return r
}

// narrower tells whether rights are less than others were.
func (r Rights) narrower(than Rights) bool {
	return slices.ContainsFunc(than.Topics, func(t string) bool { return !Covers(r.Topics, t) }) ||
		slices.ContainsFunc(than.Tables, func(t string) bool { return !slices.Contains(r.Tables, t) && !slices.Contains(r.Tables, "*") })
}
