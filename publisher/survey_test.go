package publisher

import (
	"slices"
	"testing"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/topics"
)

// TestSurvey_HasNoRowData: what people subscribe to below the counted levels is
// made of keys, and not shown.
func TestSurvey_HasNoRowData(t *testing.T) {
	template, err := topics.ParseTemplate("{table}/{key}/")
	check(t, err)
	router := topics.New("d", "S", template, nil)
	p := start(t, func(o *Options) { o.Router = func() *topics.Router { return router } })
	p.subscribe(t, "", "Users/", "Users/secret/", "Users/other/", "Users/secret/$resolved/", "$hello/", "secret")
	sink := p.Sink(changestream.Partition{})
	check(t, sink.Change(record(changestream.ModUpdate, 1, 1)))
	flush(t, sink)
	want := []SubscriptionCount{{"Users/…", 3}, {"", 1}, {"$hello/", 1}, {"Users/", 1}, {"…", 1}}
	sorted := func(s []SubscriptionCount) []SubscriptionCount {
		s = slices.Clone(s)
		slices.SortFunc(s, func(a, b SubscriptionCount) int {
			if a.Count != b.Count {
				return b.Count - a.Count
			}
			return slices.Compare([]byte(a.Prefix), []byte(b.Prefix))
		})
		return s
	}
	waitFor(t, "a survey without keys", func() bool { return slices.Equal(sorted(p.Survey().Subscriptions), want) })
	each := []string{"", "Users/", "Users/…", "Users/…", "Users/…", "$hello/", "…"}
	waitFor(t, "a subscriber without keys", func() bool {
		s := p.Survey().Subscribers
		return len(s) == 1 && slices.Equal(slices.Sorted(slices.Values(s[0].Prefixes)), slices.Sorted(slices.Values(each)))
	})
}
