package service

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
)

// bigView is what the tables hold of n partitions.
func bigView(n int) changestream.View {
	v := changestream.View{Now: time.Now()}
	for i := range n {
		v.Partitions = append(v.Partitions, changestream.Partition{Token: changestream.PartitionToken(fmt.Sprintf("%0200d", i)), Parents: []changestream.PartitionToken{changestream.PartitionToken(fmt.Sprintf("%0200d", i/2))},
			Start: v.Now, State: changestream.Running, Position: v.Now, Owner: "a", Epoch: 1, Expiry: v.Now})
	}
	return v
}

// TestOwners_RememberWhoHadAPartition that nobody has any more.
func TestOwners_RememberWhoHadAPartition(t *testing.T) {
	var o owners
	v := bigView(2)
	o.note(v)
	v.Partitions[1].Owner, v.Partitions[1].State, v.Partitions[1].End = "", changestream.Finished, v.Now
	v.Partitions[0].End = v.Now
	o.note(v)
	rows := o.partitions(v)
	for _, r := range rows {
		switch r.State {
		case "FINISHED":
			if r.Owner != "" || r.LastOwner != "a" {
				t.Errorf("%+v", r)
			}
		case "ENDED":
			if r.Owner != "a" || r.LastOwner != "" || r.End == nil {
				t.Errorf("%+v", r)
			}
		default:
			t.Errorf("%+v", r)
		}
	}
	o.note(changestream.View{})
	if len(o.last) != 0 {
		t.Error("partitions that are gone are remembered")
	}
}

// BenchmarkStatus is what the page costs the server each second, with 1,000
// partitions, however many look at it.
func BenchmarkStatus(b *testing.B) {
	var o owners
	v := bigView(1000)
	size := 0
	for b.Loop() {
		o.note(v)
		text, err := json.Marshal(o.partitions(v))
		if err != nil {
			b.Fatal(err)
		}
		size = len(text)
	}
	b.ReportMetric(float64(size), "B/event")
}
