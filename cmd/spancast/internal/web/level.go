package web

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
)

// level shows the log level, and sets it for who is on this machine.
func (s *Server) level(w http.ResponseWriter, r *http.Request) {
	if s.opt.Level == nil {
		http.NotFound(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.showLevel(w)
	case http.MethodPut:
		fromHere(http.HandlerFunc(s.setLevel)).ServeHTTP(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(w, "only GET and PUT", http.StatusMethodNotAllowed)
	}
}

func (s *Server) showLevel(w http.ResponseWriter) {
	answer(w, http.StatusOK, map[string]slog.Level{"level": s.opt.Level.Level()})
}

func (s *Server) setLevel(w http.ResponseWriter, r *http.Request) {
	var body struct{ Level slog.Level }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1024)).Decode(&body); err != nil {
		http.Error(w, `expected {"level":"debug"}, or info, warn, error`, http.StatusBadRequest)
		return
	}
	old := s.opt.Level.Level()
	s.opt.Level.Set(body.Level)
	s.opt.Log.Info("the log level was changed", "from", old, "to", body.Level)
	s.showLevel(w)
}
