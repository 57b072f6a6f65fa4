package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// A Listener is a port that is taken, and a Server that answers there. The port
// is taken early, so that one that is in use is noticed before anything is done.
// A nil Listener does nothing.
type Listener struct {
	listener net.Listener
	pages    *Server
	server   *http.Server
}

// Listen takes a port. Open must follow, then Serve; and Close if it comes to
// neither.
func Listen(ctx context.Context, address string) (*Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return &Listener{listener: l}, nil
}

// Open prepares the answers. Whether only this machine can reach the port is
// found out here.
func (l *Listener) Open(o Options) {
	o.Loopback = loopback(l.listener.Addr().String())
	l.pages = New(o)
	l.server = &http.Server{Handler: l.pages, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	if o.Certificate != nil {
		l.server.TLSConfig = o.Certificate.Config()
	}
}

// endTimeout is how long answers that are being given may take at the end.
const endTimeout = 500 * time.Millisecond

// Serve answers until ctx is done.
func (l *Listener) Serve(ctx context.Context) {
	if l == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.pages.Run(ctx) // sends away who listens to events
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if l.server.Shutdown(end) != nil {
			l.server.Close()
		}
	}()
	if l.server.TLSConfig != nil {
		l.server.ServeTLS(l.listener, "", "")
	} else {
		l.server.Serve(l.listener)
	}
	<-done
}

// Close gives the port back.
func (l *Listener) Close() {
	if l != nil {
		l.listener.Close()
	}
}

// Page is where the page is, empty if there is none.
func (l *Listener) Page() string {
	if l == nil {
		return ""
	}
	scheme := "http://"
	if l.server.TLSConfig != nil {
		scheme = "https://"
	}
	return scheme + l.listener.Addr().String() + "/"
}
