package web

import (
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
)

// recoveries are one of each state.
func recoveries() []Recovery {
	began := time.Now().Add(-3 * time.Second)
	return []Recovery{
		{Identity: "alice", ID: "r1", Kind: "replay", State: "running", What: []string{"Orders/"}, From: "2026-11-20T09:54:00.123456000Z/NTQ5/00000000/3",
			To: "now", Reached: "2026-11-20T09:55:00.123456000Z", Since: began, Sent: 1200, Credit: Credit{Messages: 500, Bytes: 1 << 20}},
		{ID: "r2", Kind: "follow", State: "live", What: []string{""}, From: "now", Since: began, Sent: 7, Credit: Credit{Messages: 1 << 41}},
		{Identity: "bob", ID: "r3", Kind: "snapshot", State: "stalled", What: []string{}, Since: began},
		{Identity: "carol", ID: "r4", Kind: "snapshot", State: "waiting", Before: 2, What: []string{"Users", "Orders"}, Since: began},
	}
}

// TestPage_ShowsClients: who follows what, who is slow, and how far every replay
// is or how many are before it.
func TestPage_ShowsClients(t *testing.T) {
	s := empty()
	s.Subscribers = []Subscriber{
		{Identity: "dora", Address: "10.0.0.7:40000", Audience: "sales", Since: time.Now(), Prefixes: []string{"Orders/", "Users/"}, More: 3, Unsent: 3 << 20},
		{Address: "10.0.0.9:40112", Since: time.Now(), Prefixes: []string{""}},
	}
	s.Audiences = []Audience{{Name: "sales", Subscribers: 40, Dropped: 12}, {Name: "all", Subscribers: 1}}
	s.Recoveries = recoveries()
	s.Totals.Recoveries, s.Totals.Refused, s.Totals.Recovered = 9, 2, 4321
	p := open(t, serveStatus(t, func() Status { return s }), 1280, 900)
	p.shows("subscribers", "dora")
	rows := func(id string, want ...string) {
		t.Helper()
		shown := strings.Split(p.text(id), "\n")
		text := strings.Join(shown, " ")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not show %q: %q", id, w, text)
			}
		}
	}
	rows("subscribers", "10.0.0.7:40000, audience sales", "Orders/, Users/ and 3 more", "3.0 MiB", "10.0.0.9:40112", "(everything)")
	rows("n-subscribers", "39 more")
	rows("audiences", "sales", "12")
	rows("recoveries", "alice", "replay of Orders/", "running", "2026-11-20 09:54:00", "2026-11-20 09:55:00", "1\u202f200", "500",
		"follow of (everything)", "live", "plenty", "bob", "snapshot of all tables", "waits for its client", "carol", "snapshot of Users, Orders", "in line, 2 before it")
	rows("n-recoveries", "9 accepted and 2 refused", "4\u202f321 messages")
}

// TestServe_TellsOfSubscribersAndRecoveries, in its status and in its metrics.
func TestServe_TellsOfSubscribersAndRecoveries(t *testing.T) {
	s := newShop(t)
	replica, url := s.serve()
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "", "Orders/")
	sub.Reading()
	began := s.insert(1)
	sub.Resolved(began)
	s.status(url, "a subscriber to show", func(st Status) bool {
		return len(st.Subscribers) == 1 && strings.HasPrefix(st.Subscribers[0].Address, "127.0.0.1:") && len(st.Subscribers[0].Prefixes) == 2 &&
			len(st.Audiences) == 1 && st.Audiences[0].Subscribers == 1
	})
	client := harness.Recover(t, replica.Recover)
	client.Send("REPLAY", map[string]any{"id": "r1", "topics": []string{"Orders/"}, "from": began.Format(time.RFC3339Nano), "credit": map[string]int{"messages": 5, "bytes": 100_000}})
	s.status(url, "a replay to go live", func(st Status) bool {
		return len(st.Recoveries) == 1 && st.Recoveries[0].ID == "r1" && st.Recoveries[0].Kind == "follow" && st.Recoveries[0].State == "live" &&
			st.Recoveries[0].Sent == 1 && st.Recoveries[0].Credit.Messages == 4 && st.Recoveries[0].Reached != "" && st.Totals.Recoveries == 1
	})
	_, metrics := request(t, "GET", url+"/metrics", "")
	for _, want := range []string{"spancast_recovery_live 1\n", "spancast_recovery_accepted_total 1\n", "spancast_subscribers{audience=\"everyone\"} 1\n", "spancast_recovery_messages_total 1\n", "spancast_recovery_ended_total{reason=\"canceled\"} 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q", want)
		}
	}
	client.Send("CANCEL", map[string]any{"id": "r1"})
	replica.Logged(`"message":"recovery ended".*"kind":"follow","reason":"canceled","messages":1`)
	s.status(url, "the replay to be gone", func(st Status) bool { return len(st.Recoveries) == 0 })
	if _, metrics = request(t, "GET", url+"/metrics", ""); !strings.Contains(metrics, "spancast_recovery_ended_total{reason=\"canceled\"} 1\n") {
		t.Error("the end of the replay is not counted")
	}
	replica.Stop()
}
