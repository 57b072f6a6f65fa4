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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// A proxy keeps what it was asked.
type proxy struct {
	address string

	mu       sync.Mutex
	requests []*http.Request
}

// newProxy starts a proxy that answers as it is told. A nil c means without TLS.
func newProxy(t *testing.T, c *tls.Config, answer func(net.Conn)) *proxy {
	t.Helper()
	p := new(proxy)
	p.address = listen(t, c, func(nc net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(nc))
		if err != nil {
			return
		}
		p.mu.Lock()
		p.requests = append(p.requests, r)
		p.mu.Unlock()
		answer(nc)
	})
	return p
}

func (p *proxy) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// accept answers well, and connects to an address whatever was asked for.
func accept(address string) func(net.Conn) {
	return func(nc net.Conn) {
		fmt.Fprint(nc, "HTTP/1.1 200 Connection established\r\n\r\n")
		forwardTo(address)(nc)
	}
}

// hello says which server it is, to who speaks to it first.
func hello(nc net.Conn) {
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		fmt.Fprint(nc, "hello")
	}
}

// greeted tells whether hello is at the other end.
func greeted(t *testing.T, target config.Target) error {
	t.Helper()
	nc, err := Dialer(target).Connect(limit(t))
	if err != nil {
		return err
	}
	defer nc.Close()
	must(t, nc.SetDeadline(time.Now().Add(30*time.Second)))
	if _, err := nc.Write([]byte("?")); err != nil {
		return err
	}
	b := make([]byte, 8)
	n, err := nc.Read(b)
	if err == nil && string(b[:n]) != "hello" {
		err = fmt.Errorf("it says %q", b[:n])
	}
	return err
}

func TestProxy_IsAskedForTheEndpoint(t *testing.T) {
	address := listen(t, trusted().server(t, "spanner.test", "h2"), hello)
	for name, c := range map[string]struct {
		tls         *tls.Config
		proxy, want string // credentials
	}{
		"plain":        {nil, "http://%s", ""},
		"user":         {nil, "http://user:to%%20p@%s", "user:to p"},
		"user only":    {nil, "http://token@%s", "token:"},
		"TLS":          {trusted().server(t, "127.0.0.1"), "https://%s", ""},
		"TLS and user": {trusted().server(t, "127.0.0.1"), "https://user:secret@%s", "user:secret"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, c.tls, accept(address))
			t.Setenv("HTTPS_PROXY", fmt.Sprintf(c.proxy, p.address))
			must(t, greeted(t, config.Target{Endpoint: "spanner.test:443"}))
			if p.asked() != 1 {
				t.Fatalf("%d requests", p.asked())
			}
			r := p.requests[0]
			if r.Method != http.MethodConnect || r.RequestURI != "spanner.test:443" || r.Host != "spanner.test:443" || r.UserAgent() != userAgent {
				t.Errorf("asked %s %s of %s as %s", r.Method, r.RequestURI, r.Host, r.UserAgent())
			}
			var want string
			if c.want != "" {
				want = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.want))
			}
			if got := r.Header.Get("Proxy-Authorization"); got != want {
				t.Errorf("Proxy-Authorization %q, not %q", got, want)
			}
		})
	}
}

// TestProxy_SaysWhatIsWrongWithoutTheSecret: what stands in HTTPS_PROXY before the
// host is a secret, the user too.
func TestProxy_SaysWhatIsWrongWithoutTheSecret(t *testing.T) {
	signIn(t)
	answering := func(text string) *proxy {
		return newProxy(t, nil, func(nc net.Conn) { fmt.Fprint(nc, text) })
	}
	elsewhere := newProxy(t, nil, accept(listen(t, trusted().server(t, "other.test", "h2"), silent)))
	for name, c := range map[string]struct{ proxy, want string }{
		"407":            {"http://name:secret@" + answering("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").address, "407 Proxy Authentication Required"},
		"403":            {"http://name:secret@" + answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nno way").address, "403 Forbidden"},
		"closes":         {"http://name:secret@" + answering("").address, "no answer to CONNECT"},
		"another tongue": {"http://name:secret@" + answering("SSH-2.0-OpenSSH\r\n").address, "no answer to CONNECT"},
		"nobody there":   {"http://name:secret@127.0.0.1:1", "connection refused"},
		"no TLS":         {"https://name:secret@" + answering("").address, "EOF"},
		"no such scheme": {"socks5://name:secret@127.0.0.1:1", `"socks5" is none of http and https`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", c.proxy)
			_, place, _ := strings.Cut(c.proxy, "@")
			target := config.Target{Endpoint: "spanner.test:443"}
			for who, err := range map[string]error{"check": Reach(limit(t), target), "reader": probe(t, target)} {
				if err == nil {
					t.Fatalf("%s: no error", who)
				}
				for _, want := range []string{c.want, "spanner.test:443", place, "HTTPS_PROXY"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: no %q in %v", who, want, err)
					}
				}
				for _, secret := range []string{"name", "secret", base64.StdEncoding.EncodeToString([]byte("name:secret"))} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%s: %q in %v", who, secret, err)
					}
				}
			}
		})
	}
	t.Run("another server behind it", func(t *testing.T) {
		t.Setenv("HTTPS_PROXY", "http://"+elsewhere.address)
		if err := Reach(limit(t), config.Target{Endpoint: "spanner.test:443"}); err == nil || !strings.Contains(err.Error(), "certificate is valid for other.test, not spanner.test") {
			t.Error(err)
		}
	})
}

// A server of HTTP/2 sends its settings without being asked: they may come together
// with the proxy's answer.
func TestProxy_TheServerMaySpeakFirst(t *testing.T) {
	p := newProxy(t, nil, func(nc net.Conn) {
		fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nVia: test\r\n\r\nhello")
		silent(nc)
	})
	t.Setenv("HTTPS_PROXY", "http://"+p.address)
	must(t, greeted(t, config.Target{Endpoint: "spanner.test:9010", PlainText: true}))
}

func TestProxy_ThatHangsIsLeftWithTheContext(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		long := limit(t)
		ctx, cancel := context.WithCancel(long)
		address := listen(t, nil, func(nc net.Conn) {
			nc.Read(make([]byte, 1))
			cancel()
			silent(nc)
		})
		t.Setenv("HTTPS_PROXY", scheme+"://"+address)
		_, err := Dialer(config.Target{Endpoint: "spanner.test:443"}).Connect(ctx)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), address) || long.Err() != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestProxy_IsNotForWhoIsNear(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // where nobody is
	near := listen(t, trusted().server(t, "127.0.0.1", "h2"), hello)
	must(t, greeted(t, config.Target{Endpoint: near}))
	plain := listen(t, nil, hello)
	must(t, greeted(t, config.Target{Endpoint: plain, PlainText: true}))

	_, port, _ := net.SplitHostPort(listen(t, trusted().server(t, "0.0.0.0", "h2"), hello))
	excepted := config.Target{Endpoint: "0.0.0.0:" + port} // here, and not loopback by its name
	if err := greeted(t, excepted); err == nil {
		t.Error("the proxy was passed by")
	}
	t.Setenv("NO_PROXY", "0.0.0.0")
	must(t, greeted(t, excepted))
}
