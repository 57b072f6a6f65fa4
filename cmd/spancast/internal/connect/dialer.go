package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/internal/h2rpc"
)

// Dialer opens connections for queries, with the same credentials, and through the
// same proxy (HTTPS_PROXY), as the clients use.
func Dialer(t config.Target) changestream.Dialer {
	d := changestream.Dialer{Authority: t.Endpoint, Secure: !t.PlainText, UserAgent: userAgent}
	if d.Authority == "" {
		d.Authority = googleEndpoint
	}
	if !d.Secure {
		d.Connect = func(ctx context.Context) (net.Conn, error) { return dial(ctx, d.Authority) }
		return d
	}
	d.Connect = func(ctx context.Context) (net.Conn, error) { return secure(ctx, d.Authority) }
	d.Headers = proof(defaultCredentials)
	return d
}

// secure connects to host:port and agrees on HTTP/2 under TLS.
func secure(ctx context.Context, address string) (net.Conn, error) {
	nc, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(address)
	encrypted := tls.Client(nc, &tls.Config{ServerName: host, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	err = encrypted.HandshakeContext(ctx)
	if err == nil && encrypted.ConnectionState().NegotiatedProtocol != "h2" {
		err = errNoHTTP2
	}
	if err != nil {
		nc.Close()
		return nil, handshakeError(err)
	}
	return encrypted, nil
}

var (
	errNoHTTP2 = errors.New("the server, or what stands before it, does not speak HTTP/2")
	errSilent  = errors.New("whoever listens there says nothing")
)

// noProtocol is the alert of a server that speaks none of what it was offered.
const noProtocol = tls.AlertError(120)

// handshakeError says what an error of TLS means here, where that is known.
func handshakeError(err error) error {
	var unknown x509.UnknownAuthorityError
	var foreign tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; SSL_CERT_FILE names a file of more authorities", err)
	case errors.As(err, &foreign):
		return errors.New("the server does not speak TLS, without which only loopback addresses and SPANNER_EMULATOR_HOST are spoken to")
	case strings.HasSuffix(err.Error(), noProtocol.Error()):
		return errNoHTTP2
	case errors.Is(err, context.DeadlineExceeded):
		return errSilent
	case errors.Is(err, io.EOF):
		return errors.New("the server closed the connection instead of beginning TLS")
	}
	return err
}

// dial connects to host:port, through a proxy if the environment names one.
func dial(ctx context.Context, address string) (net.Conn, error) {
	proxy, err := proxyFor(address)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return dialTCP(ctx, address)
	}
	nc, err := tunnel(ctx, proxy, address)
	if err != nil { // without the user, which may be a secret too
		return nil, fmt.Errorf("through the proxy %s://%s of HTTPS_PROXY: %w", proxy.Scheme, proxy.Host, err)
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
