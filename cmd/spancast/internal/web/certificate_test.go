package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for this machine.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	a := &authority{t: t, dir: t.TempDir(), key: key, pool: x509.NewCertPool()}
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.pool.AddCert(a.cert)
	return a
}

// issue writes a certificate with a serial number, and its key.
func (a *authority) issue(serial int64) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	return a.write("tls.crt", "CERTIFICATE", der), a.write("tls.key", "PRIVATE KEY", private)
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	must(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCertificate_IsTheNewestThatCanBeUsed by every connection; nothing older than
// TLS 1.2 is spoken, and nothing in clear.
func TestCertificate_IsTheNewestThatCanBeUsed(t *testing.T) {
	a := newAuthority(t)
	certFile, keyFile := a.issue(10)
	var faults []bool // of the reloads
	c, err := OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler), func(err error) { faults = append(faults, err != nil) })
	must(t, err)
	c.every = 0
	l, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	none := func() []string { return nil }
	l.Open(Options{Live: none, Ready: none, Startup: none, Metrics: http.NotFoundHandler(), Status: func() Status { return Status{} }, Sample: func() Sample { return Sample{} },
		Certificate: c, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Serve(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	if !strings.HasPrefix(l.Page(), "https://127.0.0.1:") {
		t.Errorf("the page is at %s", l.Page())
	}
	get := func(config *tls.Config) (*http.Response, error) {
		config.RootCAs = a.pool
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}, Timeout: patience}
		defer client.CloseIdleConnections()
		r, err := client.Get(l.Page() + "healthz/live")
		if err == nil {
			r.Body.Close()
		}
		return r, err
	}
	serial := func(want int64) {
		t.Helper()
		r, err := get(new(tls.Config))
		must(t, err)
		if got := r.TLS.PeerCertificates[0].SerialNumber.Int64(); got != want || r.StatusCode != 200 || r.ProtoMajor != 2 || r.TLS.Version != tls.VersionTLS13 {
			t.Errorf("certificate %d, want %d; status %d, HTTP/%d, TLS %x", got, want, r.StatusCode, r.ProtoMajor, r.TLS.Version)
		}
		if r.Header.Get("Strict-Transport-Security") == "" {
			t.Error("no Strict-Transport-Security")
		}
	}
	serial(10)
	a.issue(11)
	serial(11)
	a.write("tls.key", "PRIVATE KEY", []byte("nonsense")) // half of a replacement
	serial(11)
	must(t, os.Remove(certFile))
	serial(11)
	a.issue(12)
	serial(12)
	if _, err := get(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if r, err := http.Get(strings.Replace(l.Page(), "https", "http", 1)); err == nil && r.StatusCode != http.StatusBadRequest {
		t.Errorf("in clear: %d", r.StatusCode)
	}
	if _, err := OpenCertificate(certFile, filepath.Join(a.dir, "none"), nil, nil); err == nil {
		t.Error("a key that is missing")
	}
}
