package bench

import (
	"fmt"
	"math"
	"time"
)

// beside are the columns of a table that has bare libzmq beside it.
func beside() []Column {
	return []Column{{"spancast_per_s", "Spancast", PerSecond, true}, {"bare_per_s", "bare libzmq", PerSecond, true},
		{"of_bare", "of bare", Percent, false}, {"serve_ns", "serve CPU", Nanos, false}, {"bare_ns", "bare CPU", Nanos, false}, {"resident", "serve memory", Bytes, false}}
}

// row measures a shape, beside bare libzmq.
func (r *run) row(t *Table, name string, s shape) error {
	r.say("%s: %s, Spancast", t.Name, name)
	ours, frames, err := r.publishedOf(s, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.say("%s: %s, bare libzmq", t.Name, name)
	bare, err := r.bareOf(s, frames, 0)
	if err != nil {
		return fmt.Errorf("%s: bare libzmq: %w", name, err)
	}
	t.add(name, ours.rate, bare.rate, ours.rate/bare.rate, ours.publisher, bare.publisher, ours.resident)
	return nil
}

// subscribers measures how publishing slows with them.
func (r *run) subscribers() error {
	t := r.table("subscribers", "Subscribers, 1 KB: changes a second that each of them gets", beside()...)
	for _, n := range []int{1, 8, 64, 256} {
		if err := r.row(t, fmt.Sprint(n, " subscribers"), kilobyte.with(func(s *shape) { s.subscribers = n })); err != nil {
			return err
		}
	}
	return nil
}

// features measures what CURVE, telemetry and rules cost.
func (r *run) features() error {
	t := r.table("features", "What features cost, 1 KB, one subscriber (bare libzmq: with CURVE alike)", beside()...)
	for _, f := range []struct {
		name string
		set  func(*shape)
	}{
		{"none", func(*shape) {}},
		{"CURVE", func(s *shape) { s.curve = true }},
		{"metrics read every second", func(s *shape) { s.scrape = true }},
		{"21 topic rules", func(s *shape) { s.rules = true }},
		{"all of them", func(s *shape) { s.curve, s.scrape, s.rules = true, true, true }},
	} {
		if err := r.row(t, f.name, kilobyte.with(f.set)); err != nil {
			return err
		}
	}
	return nil
}

// alone measures shapes that bare libzmq knows nothing of, each beside the first.
func (r *run) alone(t *Table, name string, s shape) error {
	r.say("%s: %s", t.Name, name)
	m, _, err := r.publishedOf(s, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	first, least := m, m.rate
	if len(t.Rows) > 0 {
		first, least = nil, t.Rows[0].Values[0]
	}
	cpu := m.publisher
	if first == nil {
		cpu = t.Rows[0].Values[2]
	}
	t.add(name, m.rate, m.rate/least, m.publisher, m.publisher/cpu, m.resident)
	return nil
}

func growth() []Column {
	return []Column{{"spancast_per_s", "Spancast", PerSecond, true}, {"of_first", "of the first", Percent, false}, {"serve_ns", "serve CPU", Nanos, false},
		{"cpu_of_first", "of the first", Percent, false}, {"resident", "serve memory", Bytes, false}}
}

// partitions measures how cost grows with them.
func (r *run) partitions() error {
	t := r.table("partitions", "Partitions, 1 KB, one subscriber", growth()...)
	for _, n := range []int{1, 10, 100, 1000} {
		if err := r.alone(t, fmt.Sprint(grouped(float64(n)), " partitions"), kilobyte.with(func(s *shape) { s.partitions = n })); err != nil {
			return err
		}
	}
	return nil
}

// subscriptions measures how cost grows with prefixes that do not match.
func (r *run) subscriptions() error {
	t := r.table("subscriptions", "Subscriptions of one subscriber, 1 KB", beside()...)
	for _, n := range []int{1, 1000, 100_000} {
		if err := r.row(t, grouped(float64(n))+" subscriptions", kilobyte.with(func(s *shape) { s.filler = n - 1 })); err != nil {
			return err
		}
	}
	return nil
}

// topics measures how cost grows with topics that are made of keys.
func (r *run) topics() error {
	t := r.table("topics", "Topics of the template {table}/{key}/, 1 KB, one subscriber", growth()...)
	for _, n := range []int{1, 1000, 1_000_000} {
		if err := r.alone(t, grouped(float64(n))+" topics", kilobyte.with(func(s *shape) { s.keys, s.template = n, "{table}/{key}/" })); err != nil {
			return err
		}
	}
	first, last := t.Rows[0].Values, t.Rows[len(t.Rows)-1].Values
	t.note("memory of a topic: %.0f bytes", math.Max(0, last[4]-first[4])/1e6)
	return nil
}

// idle measures a replica that has nothing to do.
func (r *run) idle() error {
	t := r.table("idle", "A replica that has nothing to do", Column{"resident", "memory", Bytes, true}, Column{"core", "of a core", Percent, false})
	for _, n := range []int{2, 1000} {
		if err := r.idleOf(t, n); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) idleOf(t *Table, partitions int) error {
	r.say("idle: %d partitions", partitions)
	w, err := r.world(kilobyte.with(func(s *shape) { s.partitions = partitions }))
	if err != nil {
		return err
	}
	defer w.close()
	s, err := w.serve()
	if err == nil {
		err = r.pause(max(5*time.Second, r.opt.Duration)) // the beginning is over
	}
	if err != nil {
		return err
	}
	began, used := time.Now(), s.cpu()
	if err := r.pause(max(5*time.Second, r.opt.Duration)); err != nil {
		return err
	}
	t.add(fmt.Sprint(grouped(float64(partitions)), " partitions"), s.resident(), (s.cpu()-used).Seconds()/time.Since(began).Seconds())
	return nil
}
