package enroll

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/sync/singleflight"
)

// A verifier checks ID tokens of a fixed list of issuers.
type verifier struct {
	issuers  []string
	audience string
	client   *http.Client
	now      func() time.Time

	asking    singleflight.Group // of issuers, for what is to be in providers
	mu        sync.Mutex
	providers map[string]*oidc.Provider // those that were asked
}

// algorithms are those that a token may be signed with: the asymmetric ones.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// errIssuer is returned for an issuer that is not on the list. It is never asked:
// a token could otherwise make us connect to anything.
var errIssuer = errors.New("the token is from an issuer that is not accepted")

// maxToken bounds tokens, in bytes.
const maxToken = 8 << 10

// claims checks a token and returns what it says.
func (v *verifier) claims(ctx context.Context, token string) (issuer string, claims map[string]any, err error) {
	if len(token) > maxToken {
		return "", nil, errors.New("the token is too long")
	}
	if issuer, err = unverifiedIssuer(token); err != nil {
		return "", nil, err
	}
	if !slices.Contains(v.issuers, issuer) {
		return "", nil, errIssuer
	}
	p, err := v.provider(ctx, issuer)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	verified, err := p.Verifier(&oidc.Config{ClientID: v.audience, SupportedSigningAlgs: algorithms, Now: v.now}).Verify(oidc.ClientContext(ctx, v.client), token)
	if err != nil {
		return "", nil, err
	}
	return issuer, claims, verified.Claims(&claims)
}

// errUnavailable is returned when an issuer's keys cannot be had.
var errUnavailable = errors.New("the issuer cannot be asked for its keys")

// provider returns an issuer's keys. They are fetched when the first token comes;
// a failure is not remembered. An issuer that does not answer holds up those of
// its own tokens, which anybody can write, and nobody else.
func (v *verifier) provider(ctx context.Context, issuer string) (*oidc.Provider, error) {
	v.mu.Lock()
	p := v.providers[issuer]
	v.mu.Unlock()
	if p != nil {
		return p, nil
	}
	answer := v.asking.DoChan(issuer, func() (any, error) {
		// The provider keeps the context for later look-ups of keys.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), v.client), issuer)
		if err == nil {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.providers[issuer] = p
		}
		return p, err
	})
	select {
	case a := <-answer:
		p, _ := a.Val.(*oidc.Provider)
		return p, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unverifiedIssuer reads whose token it claims to be.
func unverifiedIssuer(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("not a JSON web token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return "", errors.New("not a JSON web token")
	}
	return claims.Issuer, nil
}
