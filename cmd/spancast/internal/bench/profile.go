package bench

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// profile writes a CPU profile of serve that has as much to do as it can, with a
// subscriber to changes of 1 KB; apart from what is measured, which it would
// disturb.
func (r *run) profile() error {
	r.say("throughput: a profile of serve")
	w, err := r.world(kilobyte.with(func(s *shape) { s.scrape = true }))
	if err != nil {
		return err
	}
	defer w.close()
	s, err := w.serve("SPANCAST_PROFILE", "true")
	if err != nil {
		return err
	}
	c, err := w.subscribed(s.endpoint)
	if err != nil {
		return err
	}
	w.load(0)
	if _, err := w.measure(c, s); err != nil { // until it is warm
		return err
	}
	url := fmt.Sprintf("%sdebug/pprof/profile?seconds=%d", s.page, max(1, int(r.opt.Duration/time.Second)))
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("profile of serve: %s", answer.Status)
	}
	_, err = io.Copy(r.cpu, answer.Body)
	return err
}
