package service

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
	"github.com/spancast/spancast/cmd/spancast/internal/web"
)

// status is how this replica and the fleet stand. Whatever is of the fleet comes
// from the tables, so that every replica can tell.
func (s *Service) status() web.Status {
	own, fleet := s.stream.Resolved()
	view, read := s.kept.Latest()
	reasons, p := s.reasons(), s.pub.Stats()
	st := web.Status{
		Now: time.Now().UTC(), Version: version.Number, Command: "serve",
		Database: s.info.Database, Stream: s.info.Stream, Dialect: string(s.info.Dialect), Retention: s.info.Retention.Seconds(),
		Replica: web.Self{ID: s.replica.ID, Epoch: s.replica.Epoch, Since: s.beats.opened.UTC(), Ready: len(reasons) == 0, Reasons: reasons,
			Owned: s.stream.Owned(), Publish: append([]string{}, s.replica.Endpoints...)},
		Resolved: web.Resolved{Own: known(own), Fleet: known(fleet)},
		Totals:   s.totals(),
		Buffer:   web.Buffer{Bytes: p.Buffered.Load(), Limit: int64(s.cfg.MaxBuffer)},
		Tables:   web.TableRead{At: known(read)},
		Replicas: s.replicas(view), Partitions: s.owners.partitions(view),
		Topics: []web.Topic{}, Recoveries: s.recoveries(),
		Problems: s.recent.Problems(), Config: settings(s.cfg),
	}
	if err := s.kept.Err(); err != nil {
		st.Tables.Error = err.Error()
	}
	survey := s.pub.Survey()
	for _, l := range survey.Levels {
		st.Topics = append(st.Topics, web.Topic{Topic: l.Level, Count: l.Count})
	}
	st.Subscriptions, st.Subscribers, st.Audiences = crowd(survey)
	return st
}

func (s *Service) totals() web.Totals {
	r, p := s.stream.Stats(), s.pub.Stats()
	t := web.Totals{
		Records: r.Records.Load(), Messages: int64(p.Messages.Load()), Bytes: int64(p.Bytes.Load()), Dropped: int64(p.Slow.Load()),
		Subscriptions: p.Subscriptions.Load(), Duplicates: r.Duplicates.Load(), Retries: r.Retries.Load(), EarlyEnds: r.EarlyEnds.Load(),
		Stalls: r.Stalls.Load(), Gaps: r.Gaps.Load(), LeasesLost: r.LeasesLost.Load(), Fenced: int64(p.Fenced.Load()),
	}
	if s.recovery != nil {
		q := s.recovery.Stats()
		t.Recoveries, t.Refused, t.Recovered = int64(q.Requests.Load()), int64(q.Refused.Load()), int64(q.Changes.Load())
	}
	return t
}

// sample is a point of the page's charts.
func (s *Service) sample() web.Sample {
	own, fleet := s.stream.Resolved()
	view, _ := s.kept.Latest()
	s.owners.note(view)
	p := s.pub.Stats()
	return web.Sample{At: time.Now().UnixMilli(), Own: lag(own), Fleet: lag(fleet),
		Messages: int64(p.Messages.Load()), Bytes: int64(p.Bytes.Load()), Dropped: int64(p.Slow.Load())}
}

func lag(at time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	seconds := max(0, time.Since(at).Seconds())
	return &seconds
}

// known is nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *Service) replicas(view changestream.View) []web.Replica {
	owned := make(map[string]int)
	for _, p := range view.Partitions {
		if p.State != changestream.Finished {
			owned[p.Owner]++
		}
	}
	out := []web.Replica{}
	for _, r := range view.Replicas {
		out = append(out, web.Replica{ID: r.ID, Epoch: r.Epoch, Endpoints: append([]string{}, r.Endpoints...), LastSeen: r.LastSeen.UTC(),
			Alive: view.Now.Sub(r.LastSeen) <= s.cfg.Lease, Self: r.ID == s.replica.ID, Partitions: owned[r.ID], Capacity: r.Capacity})
	}
	slices.SortFunc(out, func(a, b web.Replica) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// owners remembers who had partitions that nobody has any more.
type owners struct {
	mu   sync.Mutex
	last map[changestream.PartitionToken]string
}

// note takes over who owns what, and forgets partitions that are gone.
func (o *owners) note(view changestream.View) {
	o.mu.Lock()
	defer o.mu.Unlock()
	last := make(map[changestream.PartitionToken]string, len(view.Partitions))
	for _, p := range view.Partitions {
		if p.Owner != "" {
			last[p.Token] = p.Owner
		} else if was := o.last[p.Token]; was != "" {
			last[p.Token] = was
		}
	}
	o.last = last
}

// partitions lists those of the tables, oldest first.
func (o *owners) partitions(view changestream.View) []web.Partition {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]web.Partition, 0, len(view.Partitions))
	for _, p := range view.Partitions {
		row := web.Partition{ID: p.Token.Short(), Parents: []string{}, State: string(p.State), Start: p.Start.UTC(), End: known(p.End),
			Position: p.Position.UTC(), Owner: p.Owner, Epoch: p.Epoch, Expiry: known(p.Expiry)}
		if p.Owner == "" {
			row.LastOwner = o.last[p.Token]
		}
		for _, parent := range p.Parents {
			row.Parents = append(row.Parents, parent.Short())
		}
		if p.State == changestream.Running && row.End != nil {
			row.State = "ENDED"
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b web.Partition) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
	return out
}

// settings is the configuration, without the values of secrets.
func settings(cfg *config.Loaded) []web.Setting {
	out := []web.Setting{}
	for _, v := range cfg.Vars() {
		value := v.Value()
		if strings.Contains(v.Name, "SECRET") && !strings.HasSuffix(v.Name, "_FILE") && value != "" {
			value = "(secret)"
		}
		out = append(out, web.Setting{Name: v.Name, Value: value, Source: string(v.Source())})
	}
	return out
}
