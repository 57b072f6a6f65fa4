package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spancast/spancast/message"
)

// A Client asks for a grant.
type Client struct {
	URL    string // of the service, for example https://spancast.example.com
	Token  Source
	Key    string // our public key, in Z85
	CAFile string // PEM file of those who vouch for the service's certificate; empty: those of the system
	// AllowInsecure lets the token be sent in clear to another machine.
	AllowInsecure bool
	HTTP          *http.Client // nil: one with a timeout; CAFile is for that one

	retry    time.Duration // instead of retryEvery, if set
	patience time.Duration // instead of tokenTime, if set
}

// A Refused error is an answer that is not 200.
type Refused struct {
	Status int
	Reason string
}

// Error says what the service said.
func (r *Refused) Error() string {
	return fmt.Sprintf("enrolment refused: %s (HTTP %d)", r.Reason, r.Status)
}

// Lasting tells whether asking again would bring the same answer.
func (r *Refused) Lasting() bool {
	return r.Status < http.StatusInternalServerError && r.Status != http.StatusTooManyRequests && r.Status != http.StatusRequestTimeout
}

// ErrInsecure is returned for a URL to which a token would go in clear.
var ErrInsecure = errors.New("the ID token would be sent in clear: use https")

// Check tells what is wrong with the URL and the file, without asking anybody.
func (c *Client) Check() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%q is not a URL of a service; one looks like https://spancast.example.com", c.URL)
	}
	if u.Scheme == "http" && !c.AllowInsecure && !isLoopback(u.Hostname()) {
		return fmt.Errorf("%s: %w", c.URL, ErrInsecure)
	}
	_, err = c.authorities()
	return err
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// authorities are those of CAFile.
func (c *Client) authorities() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificates in PEM", c.CAFile)
	}
	return pool, nil
}

// client is the one to ask with. It follows no redirects: the token is for one
// service.
func (c *Client) client() (*http.Client, error) {
	if c.HTTP != nil {
		return c.HTTP, nil
	}
	pool, err := c.authorities()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true,
			DialContext:     (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}, nil
}

// Enroll asks once.
func (c *Client) Enroll(ctx context.Context) (a message.EnrollAnswer, err error) {
	if err := c.Check(); err != nil {
		return a, fmt.Errorf("enroll: %w", err)
	}
	client, err := c.client()
	if err != nil {
		return a, fmt.Errorf("enroll: %w", err)
	}
	token, err := c.token(ctx)
	if err != nil {
		return a, fmt.Errorf("ID token: %w", err)
	}
	body, err := json.Marshal(message.EnrollRequest{PublicKey: c.Key})
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(c.URL, "/")+"/v1/enroll", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return a, fmt.Errorf("enroll: %w", err)
	}
	defer resp.Body.Close()
	return read(resp)
}

// tokenTime is how long a source may take: a command that hangs would otherwise let
// the grant run out without a word.
const tokenTime = time.Minute

func (c *Client) token(ctx context.Context) (string, error) {
	d := tokenTime
	if c.patience > 0 {
		d = c.patience
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return c.Token(ctx)
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

func read(resp *http.Response) (a message.EnrollAnswer, err error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a, fmt.Errorf("enroll: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var f message.EnrollFailure
		if json.Unmarshal(text, &f) != nil || f.Error == "" {
			f.Error = "no reason given"
		}
		return a, &Refused{resp.StatusCode, f.Error}
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("enroll: the answer is not one: %w", err)
	}
	return a, nil
}

// retryEvery is how long a renewal that failed waits for its next attempt.
const retryEvery = 10 * time.Second

// Keep renews a grant when half of its life is over, and calls f with every new
// one or with what went wrong, until ctx is done.
func (c *Client) Keep(ctx context.Context, last message.EnrollAnswer, f func(message.EnrollAnswer, error)) {
	retry := retryEvery
	if c.retry > 0 {
		retry = c.retry
	}
	wait := time.Until(last.Expires) / 2
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, min(retry, time.Second))):
		}
		a, err := c.Enroll(ctx)
		if ctx.Err() != nil {
			return
		}
		f(a, err)
		if wait = retry; err == nil {
			wait = time.Until(a.Expires) / 2
		}
	}
}
