package connect

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// proxyFor is the proxy that the environment names for host:port (HTTPS_PROXY and
// NO_PROXY); nil: none.
func proxyFor(address string) (*url.URL, error) {
	return httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: address})
}

// tunnel asks a proxy for a connection (RFC 9110, CONNECT).
func tunnel(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	nc, err := dialProxy(ctx, proxy)
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

func dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	port := proxy.Port()
	switch proxy.Scheme {
	case "http":
		if port == "" {
			port = "80"
		}
		return dialTCP(ctx, net.JoinHostPort(proxy.Hostname(), port))
	case "https":
		if port == "" {
			port = "443"
		}
		return new(tls.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	}
	return nil, fmt.Errorf("%q is none of http and https", proxy.Scheme)
}

// accepted reads the proxy's answer, and nothing of what the server behind it says,
// which without TLS may speak first.
func accepted(nc net.Conn, r *http.Request) error {
	answer, err := http.ReadResponse(bufio.NewReader(bytewise{nc}), r)
	switch {
	case err != nil:
		return fmt.Errorf("no answer to CONNECT: %w", err)
	case answer.StatusCode/100 != 2:
		return errors.New(answer.Status)
	}
	return nil
}

// bytewise reads one byte at a time, so that nobody reads more than is needed.
type bytewise struct{ io.Reader }

func (b bytewise) Read(p []byte) (int, error) { return b.Reader.Read(p[:min(1, len(p))]) }
