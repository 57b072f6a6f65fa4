package web

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A Certificate is in two files that may change: whoever connects gets the newest
// that can be used.
type Certificate struct {
	certFile, keyFile string
	every             time.Duration // least time between two looks
	log               *slog.Logger
	reloaded          func(error) // of a pair that has changed

	mu     sync.Mutex
	looked time.Time
	pem    [2][]byte // as it was seen last, good or not
	good   *tls.Certificate
}

// certificateInterval is the least time between two looks at the files.
const certificateInterval = 2 * time.Second

// OpenCertificate reads a certificate and its private key, in PEM. Reloaded is
// called for every pair that comes later, with what is wrong with it.
func OpenCertificate(certFile, keyFile string, log *slog.Logger, reloaded func(error)) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, every: certificateInterval, log: log, reloaded: reloaded}
	_, err := c.look(time.Now())
	return c, err
}

// Config is that of a server.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil }}
}

// get returns the certificate for one connection.
func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= c.every {
		switch changed, err := c.look(now); {
		case err != nil:
			c.reloaded(err)
			c.log.Error("the new certificate is not used, the old one stays", "error", err)
		case changed:
			c.reloaded(nil)
			c.log.Info("a new certificate is in use", "expires", c.good.Leaf.NotAfter)
		}
	}
	return c.good
}

// look reads the files if they have changed. One that is not there is being
// replaced, unless there was never one.
func (c *Certificate) look(now time.Time) (changed bool, err error) {
	c.looked = now
	var pem [2][]byte
	for i, path := range []string{c.certFile, c.keyFile} {
		if pem[i], err = os.ReadFile(path); err != nil {
			if c.good != nil {
				return false, nil
			}
			return false, err
		}
	}
	if bytes.Equal(pem[0], c.pem[0]) && bytes.Equal(pem[1], c.pem[1]) {
		return false, nil
	}
	c.pem = pem
	next, err := tls.X509KeyPair(pem[0], pem[1])
	if err != nil {
		return false, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.good = &next
	return true, nil
}
