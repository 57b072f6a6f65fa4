package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// sampleEvery is how often the charts get a point, and listeners an event.
	sampleEvery = time.Second
	// kept is the number of points of the charts: ten minutes.
	kept = 600
	// maxListeners bounds those who listen to events.
	maxListeners = 64
	// writeTimeout is how long a listener may take for one event.
	writeTimeout = 10 * time.Second
)

// A hub tells many listeners the same.
type hub struct {
	mu        sync.Mutex
	ring      []Sample
	listeners map[chan []byte]bool
}

func newHub() *hub { return &hub{listeners: make(map[chan []byte]bool)} }

// run samples and tells until ctx is done; then listeners are sent away. What is
// told is written once for all of them, and not at all when there are none.
func (h *hub) run(ctx context.Context, sample func() Sample, status func() Status) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	h.add(sample())
	for {
		select {
		case <-ctx.Done():
			h.mu.Lock()
			defer h.mu.Unlock()
			for l := range h.listeners {
				close(l)
				delete(h.listeners, l)
			}
			return
		case <-tick.C:
		}
		p := sample()
		if h.add(p) > 0 {
			h.tell(append(event("sample", p), event("status", status())...))
		}
	}
}

// add keeps a point, and returns how many listen.
func (h *hub) add(p Sample) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) >= kept {
		h.ring = append(h.ring[:0], h.ring[1:]...)
	}
	h.ring = append(h.ring, p)
	return len(h.listeners)
}

func (h *hub) samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Sample{}, h.ring...)
}

// tell gives an event to all listeners; who has not taken the last one misses it.
func (h *hub) tell(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		select {
		case l <- b:
		default:
		}
	}
}

// listen returns where events come, nil when too many listen.
func (h *hub) listen() (events chan []byte, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) >= maxListeners {
		return nil, nil
	}
	l := make(chan []byte, 1)
	h.listeners[l] = true
	return l, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l)
	}
}

// event writes a server-sent event. JSON has no line breaks.
func event(name string, body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		return nil
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, text)
}

// events answers with the charts' samples and the status, and goes on with what
// is new.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	events, leave := s.hub.listen()
	if events == nil {
		http.Error(w, "too many listen already", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	send := func(b []byte) bool {
		out.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	first := bytes.Join([][]byte{[]byte("retry: 1000\n\n"), event("history", s.hub.samples()), event("status", s.opt.Status())}, nil)
	for ok := send(first); ok; {
		select {
		case b, more := <-events:
			ok = more && send(b)
		case <-r.Context().Done():
			return
		}
	}
}
