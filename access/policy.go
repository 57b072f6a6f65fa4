package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/spancast/spancast/internal/reload"
	"github.com/spancast/spancast/message"
)

// A Policy is what an access file says.
//
//	audiences:                             # one that sees everything if there are none
//	  - name: orders
//	    topics: [Orders/, Invoices/]       # prefixes of what is published there
//	    endpoints: [tcp://0.0.0.0:5560]    # SPANCAST_BIND if there are none
//	    identities: [billing, "team-*"]    # names or globs of who may connect
//	identities:
//	  - name: billing
//	    keys: ["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"]
//	    topics: [Orders/]                  # what it may ask of the recovery endpoint
//	    tables: [Orders, "Invoice*"]       # snapshots that it may ask for
//	    expires: 2027-01-01T00:00:00Z
//	publishers: [replica]                  # identities that may publish through a forwarder
//	enrolment:                             # who gets a grant for an ID token; the first rule that fits
//	  - issuer: https://accounts.google.com
//	    claims: {email: billing@p.iam.gserviceaccount.com, email_verified: true}
//	    identity: "{email}"
//	    audiences: [orders]
//	    topics: [Orders/]
//	    tables: [Orders]
//	    lifetime: 1h
//	revoked:                               # refused for good, whatever else says otherwise
//	  keys: []
//	  identities: []
type Policy struct {
	Audiences  []Audience `yaml:"audiences"`
	Identities []Identity `yaml:"identities"`
	Publishers []string   `yaml:"publishers"`
	Enrolment  []Rule     `yaml:"enrolment"`
	Revoked    struct {
		Keys       []PublicKey `yaml:"keys"`
		Identities []string    `yaml:"identities"`
	} `yaml:"revoked"`
}

// An Audience is a set of topics with endpoints of its own.
type Audience struct {
	Name       string   `yaml:"name"`
	Topics     []string `yaml:"topics"`
	Endpoints  []string `yaml:"endpoints"`
	Advertise  []string `yaml:"advertise"` // what subscribers are told instead of Endpoints
	Identities []string `yaml:"identities"`
}

// An Identity is somebody who has keys.
type Identity struct {
	Name    string      `yaml:"name"`
	Keys    []PublicKey `yaml:"keys"`
	Topics  []string    `yaml:"topics"`
	Tables  []string    `yaml:"tables"`
	Expires time.Time   `yaml:"expires"`
}

// A Rule maps the claims of an ID token to a grant.
type Rule struct {
	Issuer    string         `yaml:"issuer"`
	Claims    map[string]any `yaml:"claims"`   // each must be there, and be this, or contain it if it is a list; strings may be globs
	Identity  string         `yaml:"identity"` // {claim} stands for its value
	Audiences []string       `yaml:"audiences"`
	Topics    []string       `yaml:"topics"`
	Tables    []string       `yaml:"tables"`
	Lifetime  time.Duration  `yaml:"lifetime"`
}

// Shared is the audience that has the endpoints of SPANCAST_BIND and
// SPANCAST_CONNECT, or of a forwarder; nil when all have their own.
func (p *Policy) Shared() *Audience {
	for i := range p.Audiences {
		if len(p.Audiences[i].Endpoints) == 0 {
			return &p.Audiences[i]
		}
	}
	return nil
}

// Everyone is the audience of a policy without audiences: it sees everything,
// and every identity belongs to it.
const Everyone = "everyone"

// Bounds of how long an enrolled key is good, and how long it is if nothing is
// said. Whoever is enrolled asks again at half of it.
const (
	MinLifetime     = 10 * time.Second
	DefaultLifetime = time.Hour
	MaxLifetime     = 24 * time.Hour
)

// UnmarshalYAML reads a key in Z85, and says of one that is none where it stands:
// without quotes YAML takes a part of many keys for something else.
func (p *PublicKey) UnmarshalYAML(node *yaml.Node) error {
	if err := p.UnmarshalText([]byte(node.Value)); err != nil {
		return fmt.Errorf("line %d: %w; in quotes", node.Line, err)
	}
	return nil
}

// ParsePolicy reads an access file. Its error lists all faults.
func ParsePolicy(text []byte) (*Policy, error) {
	p := new(Policy)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not an access file: %w", err)
	}
	if len(p.Audiences) == 0 {
		p.Audiences = []Audience{{Name: Everyone, Topics: []string{""}, Identities: []string{"*"}}}
	}
	var f faults
	p.checkAudiences(&f)
	p.checkIdentities(&f)
	f.globs("publishers", p.Publishers)
	for i := range p.Enrolment {
		p.checkRule(&f, i)
	}
	return p, errors.Join(f...)
}

// faults are collected, so that all are said at once.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

// topics checks prefixes: one that ends inside a segment would let in more than
// it seems to.
func (f *faults) topics(where string, prefixes []string) {
	for _, t := range prefixes {
		if _, ok := message.Level(t); !ok {
			f.add("%s: topic %q does not end in /", where, t)
		}
	}
}

func (f *faults) globs(where string, globs []string) {
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil || g == "" {
			f.add("%s: %q is not a name or glob", where, g)
		}
	}
}

// names are those that were given to things of one kind.
type names map[string]bool

// next checks the name of the thing at a place, and returns what to call it in
// faults.
func (n names) next(f *faults, kind string, i int, name string, valid func(string) bool, otherwise string) (where string) {
	where = fmt.Sprintf("%s %d", kind, i+1)
	if valid(name) {
		where = kind + " " + name
	} else {
		f.add("%s: name %q %s", where, name, otherwise)
	}
	if n[name] {
		f.add("%s: there are two of that name", where)
	}
	n[name] = true
	return where
}

func (p *Policy) checkAudiences(f *faults) {
	n, shared := names{}, ""
	for i, a := range p.Audiences {
		where := n.next(f, "audience", i, a.Name, plainName, "is not one of letters, digits, - and _, 64 at most")
		if len(a.Topics) == 0 {
			f.add("%s: has no topics; [\"\"] are all", where)
		}
		f.topics(where, a.Topics)
		f.globs(where, a.Identities)
		if len(a.Endpoints) == 0 {
			if shared != "" {
				f.add("%s: has no endpoints, nor has audience %s; only one can have those of SPANCAST_BIND", where, shared)
			}
			shared = a.Name
		}
	}
}

// plainName tells whether a name can stand in logs, domains and directories.
func plainName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

func (p *Policy) checkIdentities(f *faults) {
	n, keys := names{}, map[PublicKey]string{}
	for i, id := range p.Identities {
		where := n.next(f, "identity", i, id.Name, ValidIdentity, "is empty, longer than 255 bytes or cannot be printed")
		for _, k := range id.Keys {
			if other, taken := keys[k]; taken {
				f.add("%s: key %s… is that of identity %s too", where, k.Short(), other)
			}
			keys[k] = id.Name
		}
		f.topics(where, id.Topics)
		f.globs(where, id.Tables)
	}
}

// ValidIdentity tells whether a name can be that of an identity: it goes into
// logs, and through ZAP.
func ValidIdentity(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd })
}

func (p *Policy) checkRule(f *faults, i int) {
	r, where := &p.Enrolment[i], fmt.Sprintf("enrolment rule %d", i+1)
	if r.Issuer == "" {
		f.add("%s: names no issuer", where)
	}
	if len(r.Claims) == 0 {
		f.add("%s: asks for no claim, so that every token of the issuer would fit", where)
	}
	for name, want := range r.Claims {
		switch want := want.(type) {
		case string:
			f.globs(where+": claim "+name, []string{want})
		case bool, int:
		default:
			f.add("%s: claim %s: %v is not a string, a whole number or true or false", where, name, want)
		}
	}
	if !strings.Contains(r.Identity, "{") && !ValidIdentity(r.Identity) {
		f.add("%s: identity %q cannot be a name", where, r.Identity)
	}
	for _, a := range r.Audiences {
		if !slices.ContainsFunc(p.Audiences, func(have Audience) bool { return have.Name == a }) {
			f.add("%s: there is no audience %s", where, a)
		}
	}
	f.topics(where, r.Topics)
	f.globs(where, r.Tables)
	if r.Lifetime == 0 {
		r.Lifetime = DefaultLifetime
	}
	if r.Lifetime < MinLifetime || r.Lifetime > MaxLifetime {
		f.add("%s: lifetime %s is not between 10s and 24h", where, r.Lifetime)
	}
}

// A PolicyFile is an access file that may change.
type PolicyFile = reload.File[*Policy]

// OpenPolicy reads an access file.
func OpenPolicy(path string) (*PolicyFile, *Policy, error) {
	return reload.Open(path, "access file", func(text string) (*Policy, error) { return ParsePolicy([]byte(text)) })
}
