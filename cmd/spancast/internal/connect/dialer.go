package connect

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/internal/h2rpc"
)

// Dialer opens connections for queries, with the same credentials, and through the
// same proxy (HTTPS_PROXY), as the clients use.
func Dialer(t config.Target) changestream.Dialer {
	if t.PlainText {
		return changestream.Dialer{Authority: t.Endpoint, UserAgent: userAgent, Connect: func(ctx context.Context) (net.Conn, error) {
			return dial(ctx, t.Endpoint)
		}}
	}
	authority := t.Endpoint
	if authority == "" {
		authority = googleEndpoint
	}
	d := changestream.Dialer{Authority: authority, Secure: true, UserAgent: userAgent, Headers: proof()}
	d.Connect = func(ctx context.Context) (net.Conn, error) { return secure(ctx, authority, &tls.Config{}) }
	return d
}

// proof makes headers of the application default credentials.
func proof() func(context.Context) ([]changestream.Header, error) {
	detect := sync.OnceValues(func() (*auth.Credentials, error) {
		return credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{spanner.Scope}})
	})
	return func(ctx context.Context) ([]changestream.Header, error) {
		known, err := detect()
		if err != nil {
			return nil, err
		}
		token, err := known.Token(ctx)
		if err != nil {
			return nil, err
		}
		r := &http.Request{Header: http.Header{}}
		httptransport.SetAuthHeader(token, r)
		if project, err := known.QuotaProjectID(ctx); err != nil {
			return nil, err
		} else if project != "" {
			r.Header.Set("X-Goog-User-Project", project)
		}
		var headers []changestream.Header
		for name, values := range r.Header {
			for _, v := range values {
				headers = append(headers, changestream.Header{Name: strings.ToLower(name), Value: v})
			}
		}
		return headers, nil
	}
}

// secure connects to host:port and agrees on HTTP/2 under TLS.
func secure(ctx context.Context, address string, c *tls.Config) (net.Conn, error) {
	nc, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c.ServerName, _, _ = net.SplitHostPort(address)
	c.NextProtos, c.MinVersion = []string{"h2"}, tls.VersionTLS12
	encrypted := tls.Client(nc, c)
	err = encrypted.HandshakeContext(ctx)
	if err == nil && encrypted.ConnectionState().NegotiatedProtocol != "h2" {
		err = errors.New("the server, or what stands before it, does not speak HTTP/2")
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return encrypted, nil
}

// dial connects to host:port, through a proxy if the environment names one.
func dial(ctx context.Context, address string) (net.Conn, error) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: address}})
	if err != nil {
		return nil, fmt.Errorf("HTTPS_PROXY: %w", err)
	}
	if proxy == nil {
		return dialTCP(ctx, address)
	}
	nc, err := tunnel(ctx, proxy, address)
	if err != nil {
		return nil, fmt.Errorf("through the proxy %s of HTTPS_PROXY: %w", proxy.Redacted(), err)
	}
	return nc, nil
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return h2rpc.Quick(nc.(*net.TCPConn))
}

// tunnel asks a proxy for a connection (RFC 9110, CONNECT).
func tunnel(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	via := proxy.Host
	if proxy.Port() == "" {
		port := "80"
		if proxy.Scheme == "https" {
			port = "443"
		}
		via = net.JoinHostPort(proxy.Hostname(), port)
	}
	var nc net.Conn
	var err error
	switch proxy.Scheme {
	case "http":
		nc, err = dialTCP(ctx, via)
	case "https":
		nc, err = new(tls.Dialer).DialContext(ctx, "tcp", via)
	default:
		err = fmt.Errorf("%q is none of http and https", proxy.Scheme)
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {userAgent}}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	err = r.Write(nc)
	if err == nil {
		err = accepted(nc, r)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// accepted reads the proxy's answer. The server behind it says nothing before it is
// spoken to, so nothing of what it says is read.
func accepted(nc net.Conn, r *http.Request) error {
	in := bufio.NewReader(nc)
	answer, err := http.ReadResponse(in, r)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return errors.New(answer.Status)
	case in.Buffered() > 0:
		return errors.New("the server spoke first")
	}
	return nil
}
