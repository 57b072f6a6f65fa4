package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// An issuer signs ID tokens, and serves its keys.
type issuer struct {
	t      testing.TB
	url    string
	signer *rsa.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	server := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: signer.Public(), KeyID: "one", Algorithm: oidc.RS256}}}
	h := httptest.NewServer(server)
	t.Cleanup(h.Close)
	server.SetIssuer(h.URL)
	return &issuer{t, h.URL, signer}
}

// token is one for an audience of spancast.
func (i *issuer) token(email string) string {
	claims, err := json.Marshal(map[string]any{"iss": i.url, "aud": "spancast", "sub": "1", "email": email, "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		i.t.Error(err)
	}
	return oidctest.SignIDToken(i.signer, "one", oidc.RS256, string(claims))
}

// certificate writes one for this machine that vouches for itself, and its key.
func certificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	must(os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

// ids are the rows that a subscriber was handed.
type ids struct {
	mu   sync.Mutex
	seen map[string]int
}

var idOf = regexp.MustCompile(`"keys":{"Id":"(\d+)"}`)

func (s *ids) handle(_ context.Context, c *subscriber.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := idOf.FindSubmatch(c.Body); m != nil {
		s.seen[string(m[1])]++
	}
	return nil
}

// has tells whether all below n came, once each.
func (s *ids) has(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if s.seen[fmt.Sprint(i)] != 1 {
			return false
		}
	}
	return true
}

// TestSubscriber_EnrolsAndRenewsByItself, over HTTPS, in a program and in tail:
// messages flow past the end of the first grant, and over a replacement of the
// server's key, which the renewals follow; nothing is lost.
func TestSubscriber_EnrolsAndRenewsByItself(t *testing.T) {
	t.Parallel()
	by := newIssuer(t)
	spanner := embedded(t, emulator.Options{})
	s, dir := newShop(t, spanner.Addr()), t.TempDir()
	oldFile, _ := keygen(t, dir, "old")
	newFile, _ := keygen(t, dir, "new")
	keys := func(files ...string) string {
		text := ""
		for _, f := range files {
			key, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text += string(key) + "\n"
		}
		return write(t, dir, "server", text)
	}
	certFile, keyFile := certificate(t, dir)
	address := freePort(t)
	replica := harness.Serve(t, s.with("SPANCAST_HEARTBEAT", "1s", "SPANCAST_HTTP", address, "SPANCAST_HTTP_CERT_FILE", certFile, "SPANCAST_HTTP_KEY_FILE", keyFile,
		"SPANCAST_CURVE_SECRET_KEY_FILE", keys(oldFile), "SPANCAST_OIDC_ISSUERS", by.url, "SPANCAST_OIDC_AUDIENCE", "spancast",
		"SPANCAST_ACCESS_FILE", write(t, dir, "access.yaml", fmt.Sprintf(
			"enrolment: [{issuer: %q, claims: {email: '*@example.com'}, identity: '{email}', audiences: [everyone], topics: [''], tables: ['*'], lifetime: 10s}]", by.url))))
	url := "https://" + address

	// Who does not vouch for the certificate sends no token.
	if status, _, stderr := harness.Run(t, nil, "tail", "--enroll", url, "--token", "file:"+write(t, dir, "token", by.token("tail@example.com")), "--timeout", "1s", "--count", "1"); status != 1 ||
		!strings.Contains(stderr, "certificate signed by unknown authority") {
		t.Errorf("without --ca-file: %d, %s", status, stderr)
	}
	tail := harness.Start(t, nil, "tail", "--enroll", url, "--ca-file", certFile, "--token", "file:"+filepath.Join(dir, "token"), "--topic", "Orders/", "--verify", "--format", "json")
	got, live := &ids{seen: make(map[string]int)}, make(chan struct{}, 100)
	sub, err := subscriber.New(subscriber.Options{Topics: []string{"Orders/"}, OnLive: func() { live <- struct{}{} }, Enroll: &subscriber.Enrolment{URL: url, CAFile: certFile,
		Token: func(context.Context) (string, error) { return by.token("ann@example.com"), nil }}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sub.Run(ctx, got.handle) }()
	<-live
	tail.Logged("subscribed")
	n := 0
	// flow commits until something is so.
	flow := func(what string, is func() bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(harness.Patience); !is(); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("in vain: %s", what)
			}
			s.commit(n, "Orders")
			n++
		}
	}
	began := time.Now()
	entered := func() int { return strings.Count(replica.Stderr(), `"connection let in","domain":"audience/everyone"`) }
	// Each step waits until both have followed, with their next renewal.
	for _, step := range [][]string{{oldFile, newFile}, {newFile, newFile}, {newFile}} {
		before, renewed := entered(), strings.Count(replica.Stderr(), `"message":"enrolled"`)
		keys(step...)
		if len(step) == 2 {
			flow("two connections more", func() bool { return entered() >= before+2 })
		} else {
			flow("two renewals more", func() bool { return strings.Count(replica.Stderr(), `"message":"enrolled"`) >= renewed+2 })
		}
	}
	flow("past the end of the first grant", func() bool { return time.Since(began) > 12*time.Second })
	wait.Until(t, "all came", func() bool { return got.has(n) })
	if n < 100 {
		t.Errorf("only %d changes", n)
	}
	tail.Printed(fmt.Sprintf(`"keys":{"Id":"%d"}`, n-1))
	if strings.Contains(replica.Stderr(), "a grant has ended") {
		t.Error("a session was ended")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if stats := sub.Stats(); stats.Unrecovered != 0 || !got.has(n) {
		t.Errorf("%+v", stats)
	} else {
		t.Logf("%d changes, %d duplicates left out, %d gaps", stats.Changes, stats.Duplicates, stats.Gaps)
	}
	tail.Stop()
	tail.Logged(fmt.Sprintf(`verified changes=%d .*unrecovered=0`, n))
	replica.Stop()
}
