package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
)

// Options of a Server.
type Options struct {
	Issuers  []string // whose tokens are accepted, as their claim iss has it
	Audience string   // that tokens must be for, as their claim aud has it

	Policy func() *access.Policy // that has the rules
	// Put stores a grant that begins at a time. ErrTaken and ErrTooMany refuse.
	Put func(ctx context.Context, g access.Grant, created time.Time) error
	// Answer says where a grant is good.
	Answer func(g access.Grant) message.EnrollAnswer

	Client *http.Client     // asks issuers for their keys; nil: one with a timeout
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger
}

// Errors with which Put refuses.
var (
	ErrTaken   = errors.New("the key is somebody else's")
	ErrTooMany = errors.New("the identity has too many keys")
)

// How often may be asked: by an address before its token is looked at, by an
// identity after.
const (
	addressEach, addressBurst   = rate.Limit(1), 30
	identityEach, identityBurst = rate.Limit(0.2), 10
	maxRequest                  = 4 << 10
	issuerTimeout               = 10 * time.Second
)

// A Server answers POST /v1/enroll.
type Server struct {
	opt        Options
	verifier   *verifier
	addresses  *limits
	identities *limits
}

// NewServer returns a server. Issuers are asked for their keys when the first
// token comes.
func NewServer(o Options) *Server {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: issuerTimeout}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		opt:       o,
		verifier:  &verifier{issuers: o.Issuers, audience: o.Audience, client: o.Client, now: o.Now, providers: make(map[string]*oidc.Provider)},
		addresses: newLimits(addressEach, addressBurst), identities: newLimits(identityEach, identityBurst),
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !s.addresses.allow(host, s.opt.Now()) {
		reply(w, http.StatusTooManyRequests, message.EnrollFailure{Error: "too many requests from this address"})
		return
	}
	grant, err := s.enroll(w, r)
	if err != nil {
		status := statusOf(err)
		s.opt.Log.Warn("enrolment refused", "status", status, "error", err, "address", host, "identity", grant.Identity)
		reply(w, status, message.EnrollFailure{Error: err.Error()})
		return
	}
	s.opt.Log.Info("enrolled", "identity", grant.Identity, "key", grant.Key.Short(), "audiences", grant.Audiences, "topics", grant.Topics,
		"tables", grant.Tables, "expires", grant.Expires, "address", host)
	reply(w, http.StatusOK, s.opt.Answer(grant))
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "10")
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// A refusal is an error with its status.
type refusal struct {
	status int
	error
}

// Unwrap returns what was wrong.
func (r refusal) Unwrap() error { return r.error }

func statusOf(err error) int {
	var r refusal
	switch {
	case errors.As(err, &r):
		return r.status
	case errors.Is(err, ErrTaken):
		return http.StatusConflict
	case errors.Is(err, ErrTooMany):
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}

// enroll checks a request and stores its grant.
func (s *Server) enroll(w http.ResponseWriter, r *http.Request) (g access.Grant, err error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return g, refusal{http.StatusUnauthorized, errors.New("no ID token; send Authorization: Bearer TOKEN")}
	}
	var request message.EnrollRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		return g, refusal{http.StatusBadRequest, errors.New(`not a request; send {"public_key": …}`)}
	}
	if g.Key, err = access.ParsePublicKey(request.PublicKey); err != nil {
		return g, refusal{http.StatusBadRequest, err}
	}
	issuer, claims, err := s.verifier.claims(r.Context(), token)
	if errors.Is(err, errUnavailable) {
		return g, err
	}
	if err != nil {
		return g, refusal{http.StatusUnauthorized, err}
	}
	if err := s.grant(&g, issuer, claims); err != nil {
		return g, refusal{http.StatusForbidden, err}
	}
	if !s.identities.allow(g.Identity, s.opt.Now()) {
		return g, refusal{http.StatusTooManyRequests, errors.New("too many requests of this identity")}
	}
	return g, s.put(r.Context(), g)
}

// grant works out what the claims of a token are good for.
func (s *Server) grant(g *access.Grant, issuer string, claims map[string]any) error {
	policy := s.opt.Policy()
	rule, err := match(policy.Enrolment, issuer, claims)
	if err != nil {
		return err
	}
	if g.Identity, err = name(rule.Identity, claims); err != nil {
		return err
	}
	if slices.ContainsFunc(policy.Identities, func(id access.Identity) bool { return id.Name == g.Identity }) {
		return errors.New("the access file has an identity of that name")
	}
	if slices.Contains(policy.Revoked.Identities, g.Identity) || slices.Contains(policy.Revoked.Keys, g.Key) {
		return errors.New("revoked")
	}
	g.Audiences, g.Topics, g.Tables = rule.Audiences, rule.Topics, rule.Tables
	g.Expires = s.opt.Now().Add(rule.Lifetime).UTC().Truncate(time.Second)
	return nil
}

func (s *Server) put(ctx context.Context, g access.Grant) error {
	for _, id := range s.opt.Policy().Identities {
		if slices.Contains(id.Keys, g.Key) {
			return ErrTaken
		}
	}
	err := s.opt.Put(ctx, g, s.opt.Now().UTC())
	if err != nil && !errors.Is(err, ErrTaken) && !errors.Is(err, ErrTooMany) {
		s.opt.Log.Error("a grant cannot be stored", "error", err)
		return errors.New("the grant cannot be stored now") // what Spanner says is not for everybody
	}
	return err
}
