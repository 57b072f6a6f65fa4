package publisher

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/spancast/spancast/internal/descriptor"
	"github.com/spancast/spancast/message"
)

// A Survey is what a publisher had counted at one moment, for people to look at.
type Survey struct {
	At            time.Time
	Levels        []LevelCount // that count, those with most changes first, at most maxSurvey
	Subscriptions []SubscriptionCount
	Audiences     []AudienceCount
	Subscribers   []Subscriber // at most maxSurvey of each audience
}

// An AudienceCount is an audience, the number of those who are connected and have
// subscribed, and how often one of them was too slow.
type AudienceCount struct {
	Name        string // empty if there is only one
	Subscribers int
	Dropped     uint64
}

// A Subscriber is a connection over which somebody subscribed.
type Subscriber struct {
	Audience string // empty if there is only one
	Identity string // empty without CURVE
	Peer     string // address and port
	Since    time.Time
	Prefixes []string
	More     int // prefixes besides
	// Unsent is how many bytes the system holds that the subscriber's machine
	// has not taken; much of it for long means that it is too slow.
	Unsent int
}

// A LevelCount is a level of the topic tree and the number of changes under it
// in this epoch.
type LevelCount struct {
	Level string
	Count uint64
}

// A SubscriptionCount is a prefix and how many are subscribed to it.
type SubscriptionCount struct {
	Prefix string
	Count  int
}

const (
	// maxSurvey bounds the levels and the subscriptions of a survey.
	maxSurvey = 100
	// maxTally bounds the prefixes that are told apart: anybody can ask for any.
	maxTally = 10_000
	// surveyEvery is the least time between two surveys.
	surveyEvery = 500 * time.Millisecond
)

// Survey returns the latest survey. It is renewed about as often as resolved
// timestamps are published.
func (p *Publisher) Survey() Survey {
	if s := p.surveyed.Load(); s != nil {
		return *s
	}
	return Survey{}
}

// survey counts, unless it did so a moment ago.
func (o *owner) survey(now time.Time) {
	if last := o.surveyed.Load(); last != nil && now.Sub(last.At) < surveyEvery {
		return
	}
	s := &Survey{At: now, Subscriptions: o.asked.largest()}
	counts := make(map[string]uint64) // an audience may see less than another, and no change twice
	for _, out := range o.outlets {
		for prefix, l := range out.counters.levels {
			counts[prefix] = max(counts[prefix], l.count)
		}
		s.Subscribers = append(s.Subscribers, out.subscribers()...)
		s.Audiences = append(s.Audiences, AudienceCount{Name: out.audience.Name, Subscribers: out.interest.Connected(), Dropped: out.socket.dropped})
	}
	if o.opt.Router().FromRows() {
		s.Subscriptions = o.hideRows(s.Subscriptions)
		for _, x := range s.Subscribers {
			for i, prefix := range x.Prefixes {
				x.Prefixes[i] = o.hide(prefix)
			}
		}
	}
	for prefix, count := range counts {
		s.Levels = append(s.Levels, LevelCount{Level: prefix, Count: count})
	}
	slices.SortFunc(s.Levels, func(a, b LevelCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Level, b.Level))
	})
	s.Levels = s.Levels[:min(len(s.Levels), maxSurvey)]
	o.surveyed.Store(s)
}

// subscribers are those who are there, the ones for whom most is waiting first.
func (o *outlet) subscribers() (out []Subscriber) {
	for fd, c := range o.interest.Connections() {
		out = append(out, Subscriber{Audience: o.audience.Name, Identity: c.Identity, Peer: c.Peer, Since: c.Since,
			Prefixes: slices.Clone(c.Prefixes), More: c.More(), Unsent: descriptor.Unsent(fd)})
	}
	slices.SortFunc(out, func(a, b Subscriber) int {
		return cmp.Or(cmp.Compare(b.Unsent, a.Unsent), cmp.Compare(a.Identity, b.Identity), a.Since.Compare(b.Since), cmp.Compare(a.Peer, b.Peer))
	})
	return out[:min(len(out), maxSurvey)]
}

// hidden stands for what is below the counted levels: it is made of row data,
// which is not for everybody who may see a survey.
const hidden = "…"

// hide cuts a prefix to the counted levels.
func (o *owner) hide(prefix string) string {
	level, kind, isControl := message.Control(prefix)
	if !isControl {
		level = prefix
	}
	for !o.counted(level) {
		kind, level = hidden, level[:strings.LastIndexByte(strings.TrimSuffix(level, "/"), '/')+1]
	}
	return level + kind
}

// hideRows hides what is below the counted levels, and adds up prefixes that are
// the same then.
func (o *owner) hideRows(subscriptions []SubscriptionCount) (out []SubscriptionCount) {
	for _, s := range subscriptions {
		s.Prefix = o.hide(s.Prefix)
		if i := slices.IndexFunc(out, func(o SubscriptionCount) bool { return o.Prefix == s.Prefix }); i >= 0 {
			out[i].Count += s.Count
		} else {
			out = append(out, s)
		}
	}
	return out
}

// counted tells whether a prefix is a level that some audience counts.
func (o *owner) counted(prefix string) bool {
	return prefix == "" || slices.ContainsFunc(o.outlets, func(out *outlet) bool { return out.counters.levels[prefix] != nil })
}

// A tally counts the subscriptions to every prefix.
type tally map[string]int

func (t tally) note(prefix string, on bool) {
	n, known := t[prefix]
	switch {
	case on && (known || len(t) < maxTally):
		t[prefix] = n + 1
	case !on && n == 1:
		delete(t, prefix)
	case !on && known:
		t[prefix] = n - 1
	}
}

func (t tally) largest() []SubscriptionCount {
	out := make([]SubscriptionCount, 0, len(t))
	for prefix, n := range t {
		out = append(out, SubscriptionCount{Prefix: prefix, Count: n})
	}
	slices.SortFunc(out, func(a, b SubscriptionCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Prefix, b.Prefix))
	})
	return out[:min(len(out), maxSurvey)]
}
