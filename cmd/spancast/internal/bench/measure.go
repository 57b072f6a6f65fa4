package bench

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/bench/part"
)

// A measured is what happened between two looks at a part, and at the publisher
// that it gets its messages from.
type measured struct {
	rate    float64 // messages a second; of the slowest socket of a subscriber
	size    float64 // bytes of a message
	cpu     float64 // nanoseconds of the part's processor time a message
	allocs  float64 // of the part, a message
	collect float64 // part of the processor time for garbage collection
	latency []uint64

	publisher float64 // nanoseconds of the publisher's processor time a message
	spanner   float64 // the same of the embedded Spanner
	resident  float64 // bytes of the publisher
}

// measure lets a part run warm, and then looks at it for the duration. Publisher
// may be nil.
func (r *run) measure(c *child, publisher *replica) (*measured, error) {
	err := r.until("messages came", func() (bool, error) {
		s, err := c.status()
		return err == nil && s.Messages > 0, err
	})
	if err == nil {
		err = r.pause(max(r.opt.Duration/2, 200*time.Millisecond))
	}
	if err != nil {
		return nil, err
	}
	before, err := c.status()
	if err != nil {
		return nil, err
	}
	var cpu, collected time.Duration
	spanner := ownTime()
	if publisher != nil {
		cpu, collected = publisher.cpu(), publisher.log.collected()
	}
	if err := r.pause(r.opt.Duration); err != nil {
		return nil, err
	}
	var after *part.Status
	err = r.until("more messages came", func() (bool, error) { // on a busy machine there may be none in a short time
		after, err = c.status()
		return err == nil && after.Messages > before.Messages && (before.Least == 0 || after.Least > before.Least), err
	})
	if err != nil {
		return nil, err
	}
	m := between(before, after)
	m.spanner = float64(ownTime()-spanner) / (m.rate * after.At.Sub(before.At).Seconds())
	if publisher != nil {
		used := publisher.cpu() - cpu
		m.publisher = float64(used) / (m.rate * after.At.Sub(before.At).Seconds())
		m.collect = ratio(float64(publisher.log.collected()-collected), float64(used))
		m.resident = publisher.resident()
	}
	return m, nil
}

func between(before, after *part.Status) *measured {
	passed := after.At.Sub(before.At).Seconds()
	n, cpu := float64(after.Messages-before.Messages), float64(after.CPU-before.CPU)
	m := &measured{rate: n / passed, cpu: cpu / n, allocs: float64(after.Mallocs-before.Mallocs) / n,
		size: float64(after.Bytes-before.Bytes) / n, collect: ratio(float64(after.Collect-before.Collect), cpu)}
	if after.Least > 0 {
		m.rate = float64(after.Least-before.Least) / passed
	}
	if len(after.Latency) == len(before.Latency) {
		m.latency = make([]uint64, len(after.Latency))
		for i := range m.latency {
			m.latency[i] = after.Latency[i] - before.Latency[i]
		}
	}
	return m
}

// ratio is a/b, NaN when there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

// percentile is a latency in nanoseconds, from buckets of which there are 16 to
// every doubling.
func percentile(buckets []uint64, p float64) float64 {
	var all, seen uint64
	for _, n := range buckets {
		all += n
	}
	for i, n := range buckets {
		if seen += n; n > 0 && float64(seen) >= p*float64(all) {
			return math.Ldexp(1+(float64(i%16)+0.5)/16, i/16)
		}
	}
	return math.NaN()
}

// behind is in the status line of a serve that had to leave out a time, which is
// where it stops.
var behind = regexp.MustCompile(`"gaps":[1-9]`)

// published measures Spanner, serve and a subscriber at a rate in records a
// second; 0: as fast as it goes.
func (w *world) published(rate int) (m *measured, frames [][]byte, err error) {
	s, err := w.serve()
	if err != nil {
		return nil, nil, err
	}
	if s.page != "" {
		stop := w.scrape(s.page + "metrics")
		defer stop()
	}
	c, err := w.subscribed(s.endpoint)
	if err == nil && w.shape.filler > 0 {
		err = w.settled(s)
	}
	if err != nil {
		return nil, nil, err
	}
	w.load(rate)
	m, err = w.measure(c, s)
	if err != nil && behind.MatchString(s.log.last()) {
		return nil, nil, fmt.Errorf("%w: at %s changes/s serve fell behind what the embedded Spanner keeps; choose a lower --rate, or let the machine do less beside", err, grouped(float64(rate)))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w; %s", err, s.log.last())
	}
	w.say("  %s/s; processor time of each: Spanner %s, serve %s, subscriber %s", grouped(m.rate), Nanos.text(m.spanner), Nanos.text(m.publisher), Nanos.text(m.cpu))
	last, err := c.status()
	if err != nil {
		return nil, nil, err
	}
	return m, last.Frames, nil
}

// subscribed starts a subscriber and waits until its subscriptions are answered.
func (w *world) subscribed(endpoint string) (*child, error) {
	c, err := w.subscriber(endpoint)
	if err != nil {
		return nil, err
	}
	return c, w.until("the subscriptions were answered", func() (bool, error) {
		s, err := c.status()
		return err == nil && s.Controls >= uint64(w.shape.subscribers), err
	})
}

// settled waits until serve has dealt with a flood of subscriptions.
func (w *world) settled(s *replica) error {
	const look = 300 * time.Millisecond
	before := s.cpu()
	return w.until("serve had dealt with the subscriptions", func() (bool, error) {
		if err := w.pause(look); err != nil {
			return false, err
		}
		now := s.cpu()
		idle := now-before < look/5
		before = now
		return idle, s.alive()
	})
}

// scrape reads the metrics every second, until it is stopped.
func (w *world) scrape(url string) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				if answer, err := http.Get(url); err == nil {
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			}
		}
	}()
	return func() { close(end); <-done }
}

// bare measures libzmq alone with the same frames and subscribers, at a rate in
// messages a second; 0: as fast as it goes.
func (w *world) bare(frames [][]byte, ioThreads, rate int) (*measured, error) {
	q := part.Request{Frames: frames, Sockets: w.shape.subscribers, Prefixes: []string{""}, Filler: w.shape.filler, Keys: w.sender, IOThreads: ioThreads, Rate: rate}
	sender, err := w.part(part.Bare, q)
	if err != nil {
		return nil, err
	}
	return w.beside(sender)
}

// plain measures the plain way, with the load.
func (w *world) plain() (*measured, error) {
	sender, err := w.part(part.Plain, part.Request{})
	if err != nil {
		return nil, err
	}
	if err := w.reading(sender.process); err != nil {
		return nil, err
	}
	w.load(0)
	return w.beside(sender)
}

// beside measures a subscriber of a part that sends.
func (w *world) beside(sender *child) (*measured, error) {
	s, err := sender.status()
	if err != nil {
		return nil, err
	}
	c, err := w.subscriber(strings.TrimRight(s.Endpoint, "\x00"))
	if err != nil {
		return nil, err
	}
	before, began := sender.process.cpu(), time.Now()
	m, err := w.measure(c, nil)
	if _, failed := sender.status(); failed != nil {
		return nil, failed
	}
	if err == nil {
		m.publisher = float64(sender.process.cpu()-before) / (m.rate * time.Since(began).Seconds())
		w.say("  %s/s; processor time of each: sender %s, subscriber %s", grouped(m.rate), Nanos.text(m.publisher), Nanos.text(m.cpu))
	}
	return m, err
}
