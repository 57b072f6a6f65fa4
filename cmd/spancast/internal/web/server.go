// Package web is what Spancast tells over HTTP: health checks, metrics, the
// directory of endpoints, how the fleet stands, and a page that shows it live.
//
//	GET /                   the page
//	GET /healthz/live       whether the process works; restart it if not
//	GET /healthz/ready      whether it is of use to anybody now
//	GET /healthz/startup    whether it has started
//	GET /metrics            for Prometheus
//	GET /v1/endpoints       where to connect to
//	GET /v1/status          a Status
//	GET /v1/history         the charts' samples
//	GET /v1/events          both, live, as server-sent events
//	GET, PUT /v1/log-level  changing it only from this machine
//	GET /debug/pprof/       if asked for, and only from this machine
//
// Nothing here needs a password, and nothing here changes what is published; who
// can reach the port sees no row data. Duties of the caller: New, serve the
// handler, and Run as long as it is served.
package web

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
)

//go:embed page
var files embed.FS

// Options of a Server. Functions are called by many goroutines.
type Options struct {
	Status    func() Status
	Sample    func() Sample // one point of the charts
	Endpoints func() any    // what /v1/endpoints answers
	// Live, Ready and Startup return why the answer is no, nothing if it is yes.
	Live, Ready, Startup func() []string
	Metrics              http.Handler
	Level                *slog.LevelVar // may be nil: it cannot be changed then
	Profile              bool           // whether there is /debug/pprof/
	// Loopback says that only this machine can reach the port: requests for
	// other hosts are then attempts of web pages to read it.
	Loopback bool
	// Certificate makes it HTTPS; nil: in clear.
	Certificate *Certificate
	// Routes are handlers of others, by pattern.
	Routes map[string]http.Handler
	Log    *slog.Logger
}

// A Server answers.
type Server struct {
	opt    Options
	hub    *hub
	mux    *http.ServeMux
	policy string // what the page may do
}

// New returns a server.
func New(o Options) *Server {
	s := &Server{opt: o, hub: newHub(), mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /healthz/live", check(o.Live))
	s.mux.HandleFunc("GET /healthz/ready", check(o.Ready))
	s.mux.HandleFunc("GET /healthz/startup", check(o.Startup))
	s.mux.Handle("GET /metrics", o.Metrics)
	s.mux.HandleFunc("GET /v1/endpoints", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.Endpoints()) })
	s.mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.Status()) })
	s.mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.hub.samples()) })
	s.mux.HandleFunc("GET /v1/events", s.events)
	s.mux.HandleFunc("/v1/log-level", s.level)
	if o.Profile {
		s.profile()
	}
	for pattern, h := range o.Routes {
		s.mux.Handle(pattern, h)
	}
	if page, err := fs.Sub(files, "page"); err == nil { // it is embedded
		html, style := document(page)
		s.policy = policy + " style-src 'self' '" + style + "'"
		s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(html)
		})
		s.mux.Handle("GET /page/", http.StripPrefix("/page/", http.FileServerFS(page)))
	}
	return s
}

func (s *Server) profile() {
	local := func(f http.HandlerFunc) http.Handler { return fromHere(f) }
	s.mux.Handle("/debug/pprof/", local(pprof.Index))
	s.mux.Handle("/debug/pprof/cmdline", local(pprof.Cmdline))
	s.mux.Handle("/debug/pprof/profile", local(pprof.Profile))
	s.mux.Handle("/debug/pprof/symbol", local(pprof.Symbol))
	s.mux.Handle("/debug/pprof/trace", local(pprof.Trace))
}

// Run takes the charts' samples and tells those who listen to events how things
// stand, until ctx is done.
func (s *Server) Run(ctx context.Context) { s.hub.run(ctx, s.opt.Sample, s.opt.Status) }

// policy is what the page may do, but for its style: only what comes from this
// server.
const policy = "default-src 'none'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none';"

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", s.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if s.opt.Loopback && !loopback(r.Host) {
		http.Error(w, "this address is for this machine only: use localhost", http.StatusMisdirectedRequest)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// loopback tells whether a host, with a port or without, is this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// fromHere lets in only who is on this machine, and meant to be here: a page of
// another site cannot call itself localhost.
func fromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) {
			http.Error(w, "only from this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// check answers a health check.
func check(reasons func() []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		why, status := append([]string{}, reasons()...), http.StatusOK
		if len(why) > 0 {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, struct {
			OK      bool     `json:"ok"`
			Reasons []string `json:"reasons"`
		}{len(why) == 0, why})
	}
}
