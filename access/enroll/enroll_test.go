package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
	client "github.com/spancast/spancast/subscriber/enroll"
)

const patience = 60 * time.Second

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An issuer signs tokens, and serves its keys over HTTP.
type issuer struct {
	url  string
	key  crypto.Signer
	test *oidctest.Server
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	i := &issuer{key: key, test: &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "one", Algorithm: oidc.RS256}}}}
	s := httptest.NewServer(i.test)
	t.Cleanup(s.Close)
	i.test.SetIssuer(s.URL)
	i.url = s.URL
	return i
}

// claims are those of a good token, with changes.
func (i *issuer) claims(change map[string]any) map[string]any {
	c := map[string]any{"iss": i.url, "aud": "spancast", "sub": "1", "email": "ann@example.com", "email_verified": true,
		"groups": []string{"dev", "ops"}, "level": 3, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (i *issuer) sign(t *testing.T, kid string, change map[string]any) string {
	t.Helper()
	text, err := json.Marshal(i.claims(change))
	check(t, err)
	return oidctest.SignIDToken(i.key, kid, oidc.RS256, string(text))
}

func segment(v any) string {
	text, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text)
}

// A registry is where grants are put: in memory, with the rules of the table.
type registry struct {
	mu     sync.Mutex
	grants map[access.PublicKey]access.Grant
	most   int
	fail   error
}

func (r *registry) put(_ context.Context, g access.Grant, _ time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if old, ok := r.grants[g.Key]; ok && old.Identity != g.Identity {
		return ErrTaken
	}
	n := 0
	for k, old := range r.grants {
		if old.Identity == g.Identity && k != g.Key {
			n++
		}
	}
	if n >= r.most {
		return ErrTooMany
	}
	r.grants[g.Key] = g
	return nil
}

const rules = `
audiences:
  - {name: orders, topics: [Orders/]}
identities:
  - {name: root, keys: ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]}
enrolment:
  - {issuer: ISSUER, claims: {email: "*@example.com", email_verified: true}, identity: "{email}", audiences: [orders], topics: [Orders/], tables: [Orders], lifetime: 10m}
  - {issuer: ISSUER, claims: {groups: ops, level: 3}, identity: "ops-{sub}"}
revoked: {identities: [eve@example.com]}
`

type service struct {
	*issuer
	*registry
	url string
	log *bytes.Buffer
}

func newService(t *testing.T, change func(*Options)) *service {
	t.Helper()
	s := &service{issuer: newIssuer(t), registry: &registry{grants: make(map[access.PublicKey]access.Grant), most: 3}, log: new(bytes.Buffer)}
	policy, err := access.ParsePolicy([]byte(strings.ReplaceAll(rules, "ISSUER", s.issuer.url)))
	check(t, err)
	o := Options{Issuers: []string{"https://nobody.invalid", s.issuer.url}, Audience: "spancast", Policy: func() *access.Policy { return policy }, Put: s.put,
		Answer: func(g access.Grant) message.EnrollAnswer {
			return message.EnrollAnswer{Identity: g.Identity, Expires: g.Expires, Topics: g.Topics, Tables: g.Tables}
		},
		Log: slog.New(slog.NewTextHandler(s.log, nil))}
	if change != nil {
		change(&o)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/enroll", NewServer(o))
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func newKey(t testing.TB) access.PublicKey {
	t.Helper()
	k, err := access.NewKey()
	check(t, err)
	return k.Public()
}

func (s *service) enroll(t *testing.T, token string, key access.PublicKey) (message.EnrollAnswer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := &client.Client{URL: s.url + "/", Key: key.String(), Token: func(context.Context) (string, error) { return token, nil }}
	return c.Enroll(ctx)
}

func TestEnroll_TradesAGoodTokenForAGrant(t *testing.T) {
	s, key := newService(t, nil), newKey(t)
	a, err := s.enroll(t, s.sign(t, "one", nil), key)
	check(t, err)
	g := s.grants[key]
	if a.Identity != "ann@example.com" || g.Identity != a.Identity || g.Audiences[0] != "orders" || g.Topics[0] != "Orders/" || g.Tables[0] != "Orders" ||
		!g.Expires.Equal(a.Expires) || time.Until(g.Expires) > 10*time.Minute || time.Until(g.Expires) < 8*time.Minute {
		t.Errorf("answer %+v, grant %+v", a, g)
	}
	// By another rule: an element of a list, and a number.
	if a, err := s.enroll(t, s.sign(t, "one", map[string]any{"email": nil}), newKey(t)); err != nil || a.Identity != "ops-1" {
		t.Errorf("%+v, %v", a, err)
	}
	if out := s.log.String(); !strings.Contains(out, "enrolled") || !strings.Contains(out, "ann@example.com") {
		t.Errorf("the grant is not logged: %s", out)
	}
}

func TestEnroll_RefusesBadTokens(t *testing.T) {
	s := newService(t, nil)
	other := newIssuer(t)
	good := s.sign(t, "one", nil)
	parts := strings.Split(good, ".")
	none := segment(map[string]string{"alg": "none", "typ": "JWT"}) + "." + parts[1] + "."
	hmac := segment(map[string]string{"alg": "HS256", "kid": "one"}) + "." + parts[1] + "." + parts[2]
	forged := parts[0] + "." + segment(s.claims(map[string]any{"email": "root@example.com"})) + "." + parts[2]
	impostor := oidctest.SignIDToken(other.key, "one", oidc.RS256, func() string { text, _ := json.Marshal(s.claims(nil)); return string(text) }())
	for name, c := range map[string]struct {
		token  string
		status int
		reason string
	}{
		"expired":                    {s.sign(t, "one", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), 401, "expired"},
		"wrong audience":             {s.sign(t, "one", map[string]any{"aud": "another"}), 401, "audience"},
		"no audience":                {s.sign(t, "one", map[string]any{"aud": nil}), 401, "audience"},
		"wrong issuer":               {other.sign(t, "one", nil), 401, "issuer"},
		"another issuer's signature": {impostor, 401, "verify"},
		"unknown key id":             {s.sign(t, "two", nil), 401, "verify"},
		"algorithm none":             {none, 401, ""},
		"algorithm HS256":            {hmac, 401, ""},
		"forged claims":              {forged, 401, "verify"},
		"no signature":               {parts[0] + "." + parts[1] + ".", 401, ""},
		"not a token":                {"nonsense", 401, "not a JSON web token"},
		"empty":                      {"", 401, ""},
		"too long":                   {good + strings.Repeat("x", maxToken), 401, "too long"},
		"not yet valid":              {s.sign(t, "one", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), 401, "before"},
		"claims that no rule fits":   {s.sign(t, "one", map[string]any{"email_verified": false, "level": 2}), 403, "no rule"},
		"a list where a name was":    {s.sign(t, "one", map[string]any{"email": []string{"a@example.com"}}), 403, "claim"},
		"revoked":                    {s.sign(t, "one", map[string]any{"email": "eve@example.com"}), 403, "revoked"},
		"no name":                    {s.sign(t, "one", map[string]any{"email": nil, "sub": nil}), 403, "claim"},
	} {
		_, err := s.enroll(t, c.token, newKey(t))
		var refused *client.Refused
		if !errors.As(err, &refused) || refused.Status != c.status || !strings.Contains(refused.Reason, c.reason) {
			t.Errorf("%s: %v, want %d %q", name, err, c.status, c.reason)
		}
	}
	if len(s.grants) != 0 {
		t.Errorf("granted: %+v", s.grants)
	}
	if _, err := s.enroll(t, good, newKey(t)); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for _, part := range []string{parts[2], parts[1]} {
		if strings.Contains(s.log.String(), part) {
			t.Errorf("a token is logged: %s", s.log)
		}
	}
}

func TestEnroll_NobodyGetsAnothersKey(t *testing.T) {
	s, key := newService(t, nil), newKey(t)
	_, err := s.enroll(t, s.sign(t, "one", nil), key)
	check(t, err)
	root, err := access.ParsePublicKey("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID")
	check(t, err)
	for what, k := range map[string]access.PublicKey{"enrolled": key, "of the access file": root} {
		var refused *client.Refused
		if _, err := s.enroll(t, s.sign(t, "one", map[string]any{"email": "bob@example.com"}), k); !errors.As(err, &refused) || refused.Status != 409 {
			t.Errorf("a key that is %s: %v", what, err)
		}
	}
	if _, err := s.enroll(t, s.sign(t, "one", nil), key); err != nil || s.grants[key].Identity != "ann@example.com" {
		t.Errorf("its owner renews it: %v", err)
	}
}

func TestEnroll_HasLimits(t *testing.T) {
	now := time.Now()
	s := newService(t, func(o *Options) { o.Now = func() time.Time { return now } })
	status := func(err error) int {
		var refused *client.Refused
		if errors.As(err, &refused) {
			return refused.Status
		}
		return 0
	}
	var last error
	for range 4 {
		_, last = s.enroll(t, s.sign(t, "one", nil), newKey(t))
	}
	if status(last) != 429 {
		t.Errorf("a fourth key of one identity: %v", last)
	}
	key := newKey(t)
	for i := range identityBurst + 1 {
		if _, last = s.enroll(t, s.sign(t, "one", map[string]any{"email": "bob@example.com"}), key); i < identityBurst && last != nil {
			t.Fatal(last)
		}
	}
	if status(last) != 429 || !strings.Contains(last.Error(), "identity") {
		t.Errorf("too many of one identity: %v", last)
	}
	for range addressBurst {
		_, last = s.enroll(t, "nonsense", newKey(t))
	}
	if status(last) != 429 || !strings.Contains(last.Error(), "address") {
		t.Errorf("too many of one address: %v", last)
	}
}

func TestEnroll_RefusesWhatIsNoRequest(t *testing.T) {
	s := newService(t, nil)
	token := s.sign(t, "one", nil)
	for name, c := range map[string]struct {
		authorization, body string
		status              int
	}{
		"no token": {"", `{"public_key":"x"}`, 401}, "not a bearer": {"Basic " + token, `{}`, 401}, "no JSON": {"Bearer " + token, "x", 400},
		"no key": {"Bearer " + token, "{}", 400}, "not a key": {"Bearer " + token, `{"public_key":"short"}`, 400},
		"too long": {"Bearer " + token, `{"public_key":"` + strings.Repeat("x", 1<<20) + `"}`, 400},
	} {
		r, err := http.NewRequest(http.MethodPost, s.url+"/v1/enroll", strings.NewReader(c.body))
		check(t, err)
		r.Header.Set("Authorization", c.authorization)
		resp, err := http.DefaultClient.Do(r)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v", name, resp.StatusCode, resp.Header)
		}
	}
}

func TestEnroll_WhatFailsInsideIsNotTold(t *testing.T) {
	s := newService(t, nil)
	s.fail = errors.New("Row [secret-row] already exists")
	var refused *client.Refused
	if _, err := s.enroll(t, s.sign(t, "one", nil), newKey(t)); !errors.As(err, &refused) || refused.Status != 503 || strings.Contains(refused.Reason, "secret-row") {
		t.Errorf("%v", err)
	}
}
