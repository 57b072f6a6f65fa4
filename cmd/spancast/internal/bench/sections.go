package bench

import (
	"fmt"
	"math"

	"github.com/spancast/spancast/cmd/spancast/internal/bench/part"
	"github.com/spancast/spancast/topics"
)

// path measures the record path on one core: receiving alone, to frames, to a
// socket that nobody subscribes to, and the plain way.
func (r *run) path() error {
	t := r.table("path", "Record path on one core (GOMAXPROCS=1): processor time of a record, and records that it gives a second",
		Column{"ns_per_record", "CPU/record", Nanos, false}, Column{"records_per_core_s", "records/core/s", PerSecond, true},
		Column{"of_receiving", "of receiving", Percent, false}, Column{"allocs_per_record", "allocs", Count, false}, Column{"gc", "GC", Percent, false})
	shapes := []shape{kilobyte}
	if r.opt.Full {
		shapes = nil
		for _, body := range []int{100, 1000, 10000} {
			for _, mods := range []int{1, 20} {
				shapes = append(shapes, kilobyte.with(func(s *shape) { s.body, s.mods, s.frame = body, mods, max(1, 16/mods) }))
			}
		}
	}
	for _, s := range shapes {
		floor := math.NaN()
		for _, stage := range []struct {
			role part.Role
			name string
		}{{part.Receive, "gRPC, receive only"}, {part.Frames, "Spancast, to frames"}, {part.Socket, "Spancast, sent to nobody"}, {part.ToStruct, "spanner.Client, ToStruct"}} {
			r.say("path: %v, %s", s, stage.name)
			m, err := r.onPath(s, stage.role)
			if err != nil {
				return fmt.Errorf("%s: %w", stage.name, err)
			}
			if stage.role == part.Receive {
				floor = m.cpu
			}
			t.add(fmt.Sprintf("%v: %s", s, stage.name), m.cpu, 1e9/m.cpu, floor/m.cpu, m.allocs, m.collect)
		}
	}
	return nil
}

// onPath measures one stage, of one partition.
func (r *run) onPath(s shape, role part.Role) (*measured, error) {
	s.partitions = 1 // which a part reads
	w, err := r.world(s)
	if err != nil {
		return nil, err
	}
	defer w.close()
	c, err := w.part(role, part.Request{Template: topics.Default}, "GOMAXPROCS=1")
	if err != nil {
		return nil, err
	}
	if err := w.reading(c.process); err != nil {
		return nil, err
	}
	w.load(0)
	m, err := w.measure(c, nil)
	if err == nil && (role == part.Socket || role == part.Frames) { // they count changes
		m.cpu, m.allocs = m.cpu*float64(s.mods), m.allocs*float64(s.mods)
	}
	return m, err
}

// throughput measures from Spanner to a subscriber.
func (r *run) throughput() error {
	t := r.table("throughput", "Spanner, serve and one subscriber in C: changes a second, beside bare libzmq with the same frames and the plain way",
		Column{"spancast_per_s", "Spancast", PerSecond, true}, Column{"bare_per_s", "bare libzmq", PerSecond, true}, Column{"plain_per_s", "plain way", PerSecond, true},
		Column{"of_bare", "of bare", Percent, false}, Column{"times_plain", "of plain", Times, false}, Column{"spanner_ns", "Spanner CPU", Nanos, false}, Column{"serve_ns", "serve CPU", Nanos, false},
		Column{"bare_ns", "bare CPU", Nanos, false}, Column{"subscriber_ns", "subscriber CPU", Nanos, false}, Column{"gc", "GC of serve", Percent, false}, Column{"frame_bytes", "size", Bytes, false})
	shapes := []shape{{body: 100, mods: 1, frame: 16}, kilobyte, {body: 10000, mods: 1, frame: 16}, {body: 1000, mods: 20, frame: 4}}
	if r.opt.Full {
		shapes = append(shapes, shape{body: 100, mods: 20, frame: 4}, shape{body: 10000, mods: 20, frame: 4})
	}
	for _, s := range shapes {
		if err := r.throughputOf(t, s); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
	}
	if r.opt.Profile != "" {
		return r.profile()
	}
	return nil
}

func (r *run) throughputOf(t *Table, s shape) error {
	r.say("throughput: %v, Spancast", s)
	ours, frames, err := r.publishedOf(s, 0)
	if err != nil {
		return err
	}
	if s == kilobyte {
		r.top = ours.rate
	}
	r.say("throughput: %v, bare libzmq", s)
	bare, err := r.bareOf(s, frames, 0)
	if err != nil {
		return err
	}
	r.say("throughput: %v, the plain way", s)
	w, err := r.world(s)
	if err != nil {
		return err
	}
	defer w.close()
	plain, err := w.plain()
	if err != nil {
		return err
	}
	t.add(s.String(), ours.rate, bare.rate, plain.rate, ours.rate/bare.rate, ours.rate/plain.rate, ours.spanner, ours.publisher, bare.publisher, ours.cpu, ours.collect, ours.size)
	return nil
}

// publishedOf measures serve in a world of its own.
func (r *run) publishedOf(s shape, rate int) (*measured, [][]byte, error) {
	w, err := r.world(s)
	if err != nil {
		return nil, nil, err
	}
	defer w.close()
	return w.published(rate)
}

// bareOf measures bare libzmq in a world of its own.
func (r *run) bareOf(s shape, frames [][]byte, rate int) (*measured, error) {
	w, err := r.world(s)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.secure(map[string]string{}); err != nil {
		return nil, err
	}
	return w.bare(frames, 1, rate)
}

// latency measures from commit to subscriber, beside bare libzmq at the same rate,
// from send to subscriber.
func (r *run) latency() error {
	t := r.table("latency", "Commit to subscriber, 1 KB, by the commit timestamp, which 64 changes share; beside bare libzmq, send to subscriber",
		Column{"rate_per_s", "rate", PerSecond, false}, Column{"p50_ns", "p50", Nanos, true}, Column{"p99_ns", "p99", Nanos, true}, Column{"p999_ns", "p99.9", Nanos, true},
		Column{"bare_p50_ns", "bare p50", Nanos, true}, Column{"bare_p99_ns", "bare p99", Nanos, true}, Column{"bare_p999_ns", "bare p99.9", Nanos, true})
	at := func(rate int, name string) error {
		r.say("latency: at %s", name)
		m, frames, err := r.publishedOf(kilobyte, rate)
		if err != nil {
			return err
		}
		r.say("latency: at %s, bare libzmq", name)
		bare, err := r.bareOf(kilobyte, frames, rate)
		if err != nil {
			return err
		}
		figures := []float64{m.rate}
		for _, of := range []*measured{m, bare} {
			for _, p := range []float64{0.5, 0.99, 0.999} {
				figures = append(figures, percentile(of.latency, p))
			}
		}
		t.add(name, figures...)
		return nil
	}
	if r.opt.Rate > 0 {
		return at(r.opt.Rate, grouped(float64(r.opt.Rate))+"/s")
	}
	if r.top == 0 {
		r.say("latency: the top rate")
		m, _, err := r.publishedOf(kilobyte, 0)
		if err != nil {
			return err
		}
		r.top = m.rate
	}
	for _, part := range []float64{0.01, 0.5, 0.9} {
		if err := at(int(part*r.top), fmt.Sprintf("%.0f %% of the top rate", 100*part)); err != nil {
			return err
		}
	}
	return nil
}
