package changestream

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A still is a store that holds one view, and is written to by others.
type still struct {
	Store
	view View
}

func (s *still) View(context.Context) (View, error) { return s.view, nil }

// The log says to whom a partition is lost, as far as that is known: a commit that
// is refused does not tell.
func TestScheduler_SaysToWhomAPartitionIsLost(t *testing.T) {
	var log bytes.Buffer
	own := Partition{Token: "p", State: Running, Owner: "me", Epoch: 1, Expiry: time.Now().Add(time.Minute)}
	other, released, again := own, own, own
	other.Owner, other.Epoch, released.Owner, released.Epoch, again.Epoch, again.Expiry = "other", 2, Released, 2, 3, time.Time{}
	for name, c := range map[string]struct {
		now  []Partition
		lost []PartitionToken // that a commit names
		want string
	}{
		"another":  {[]Partition{other}, nil, "another replica"},
		"released": {[]Partition{released}, nil, "spancast admin release or reset"},
		"gone":     {nil, nil, "another replica, or to spancast admin release or reset"},
		"again":    {[]Partition{again}, nil, "another replica, or to spancast admin release or reset"},
		"refused":  {[]Partition{own}, []PartitionToken{"p"}, "another replica, or to spancast admin release or reset"},
	} {
		log.Reset()
		s := newScheduler(&Stream{src: &source{}, opt: Options{Replica: Replica{ID: "me"}, Lease: time.Minute, Store: &still{view: View{Partitions: c.now}}, Log: slog.New(slog.NewTextHandler(&log, nil))}})
		s.graph.Load([]Partition{own})
		s.tasks["p"] = &task{token: "p", epoch: 1, progress: NewProgress(time.Now()), cancel: func() {}}
		if err := s.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.apply(t.Context(), Commit{}, Result{Lost: c.lost})
		if want := `msg="lost a partition to ` + c.want + `"`; !strings.Contains(log.String(), want) || strings.Count(log.String(), "\n") != 1 || s.stats.LeasesLost.Load() != 1 {
			t.Errorf("%s: %d lost, log %s, want %s", name, s.stats.LeasesLost.Load(), log.String(), want)
		}
	}
}
