package connect

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// TestMain makes an authority that the system trusts, and an environment without
// proxies and credentials.
func TestMain(m *testing.M) {
	os.Exit(inEmptyEnvironment(m))
}

func inEmptyEnvironment(m *testing.M) int {
	dir, err := os.MkdirTemp("", "connect")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "GOOGLE_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("HOME", dir)
	os.Setenv("SSL_CERT_DIR", dir)
	os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "authority.pem"))
	pemOf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted().der})
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), pemOf, 0o600); err != nil {
		panic(err)
	}
	return m.Run()
}

// trusted is the authority of SSL_CERT_FILE.
var trusted = sync.OnceValue(func() *authority { return newAuthority("trusted") })

type authority struct {
	cert *x509.Certificate
	der  []byte
	key  crypto.Signer
}

func newAuthority(name string) *authority {
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &authority{about, der, key}
}

// server is the configuration of a server with a name or IP address, and with
// protocols.
func (a *authority) server(t *testing.T, name string, protocols ...string) *tls.Config {
	t.Helper()
	about := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour)}
	if ip := net.ParseIP(name); ip != nil {
		about.IPAddresses = []net.IP{ip}
	} else {
		about.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, about, a.cert, a.key.Public(), a.key)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}, NextProtos: protocols}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// listen has each connection served by f, and closed then, and returns the address.
// A nil c means without TLS.
func listen(t *testing.T, c *tls.Config, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if c != nil {
		l = tls.NewListener(l, c)
	}
	var served sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	served.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				stop := context.AfterFunc(ctx, func() { nc.Close() })
				defer stop()
				defer nc.Close()
				f(nc)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); served.Wait() })
	return l.Addr().String()
}

// forward connects two connections until both have ended.
func forward(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { io.Copy(a, b); a.Close() })
	both.Go(func() { io.Copy(b, a); b.Close() })
	both.Wait()
}

// forwardTo forwards connections to an address.
func forwardTo(address string) func(net.Conn) {
	return func(nc net.Conn) {
		to, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer to.Close()
		forward(nc, to)
	}
}

// silent reads, and says nothing.
func silent(nc net.Conn) { io.Copy(io.Discard, nc) }

// heard reads something, and says nothing.
func heard(nc net.Conn) { nc.Read(make([]byte, 1<<20)) }

// badRequest is a server of HTTP/1.1 that does not understand.
func badRequest(nc net.Conn) {
	heard(nc)
	fmt.Fprint(nc, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
}

// A tokenServer gives tokens: token-1, token-2 and so on.
type tokenServer struct {
	*httptest.Server
	mu     sync.Mutex
	given  int
	lasts  int    // seconds
	status int    // of answers, if it is not 0
	body   string // of those
}

// signIn makes application default credentials of a token server of their own; more
// are members of the file, name and value.
func signIn(t *testing.T, more ...string) *tokenServer {
	t.Helper()
	s := &tokenServer{lasts: 3600}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	file := map[string]string{
		"type": "service_account", "project_id": "p", "client_email": "reader@p.test", "private_key_id": "1", "token_uri": s.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(accountKey())})),
	}
	for i := 0; i < len(more); i += 2 {
		file[more[i]] = more[i+1]
	}
	raw, err := json.Marshal(file)
	must(t, err)
	path := filepath.Join(t.TempDir(), "credentials.json")
	must(t, os.WriteFile(path, raw, 0o600))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
	return s
}

var accountKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// last makes tokens last for some seconds. They count as old before that.
func (s *tokenServer) last(seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lasts = seconds
}

// refuse makes the server answer with a status and a body; 0: with tokens again.
func (s *tokenServer) refuse(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != 0 {
		w.WriteHeader(s.status)
		io.WriteString(w, s.body)
		return
	}
	s.given++
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, s.given, s.lasts)
}

// probe looks at a stream through the connections of a target, and returns what its
// reader says.
func probe(t *testing.T, target config.Target) error {
	t.Helper()
	stream, err := changestream.New(changestream.Options{
		Info: changestream.Info{Database: "projects/p/instances/i/databases/d", Stream: "S", Dialect: changestream.GoogleSQL},
		Dial: Dialer(target), QueryWindow: time.Minute, Heartbeat: time.Second,
	})
	must(t, err)
	_, err = stream.Probe(limit(t))
	return err
}
