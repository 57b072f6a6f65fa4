package test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestDemo_ShowsEverything is what make demo runs, on both Spanners: changes are
// printed, the pages of both replicas show both, one is killed and the other takes
// over, and Ctrl-C ends all.
func TestDemo_ShowsEverything(t *testing.T) {
	t.Parallel()
	for _, spanner := range []string{"embedded", "google"} {
		t.Run(spanner, func(t *testing.T) {
			if spanner == "google" {
				spannerdb.Host(t) // skips where Google's emulator is missing
			}
			p := harness.Start(t, map[string]string{"SPANCAST_DATABASE": "not to be touched"}, "demo", "--emulator", spanner, "--rate", "50", "--partition-life", "4s")
			p.Logged("subscribed")
			first := p.Logged(`status page: (http://\S+/)`)[1]
			second := p.Logged(`a second replica runs.*pid=(\d+) page=(http://\S+/)`)
			for _, page := range []string{first, second[2]} {
				fleet(t, page, "both replicas to read partitions", func(alive, reading, _ int) bool { return alive == 2 && reading == 2 })
			}
			p.Printed("(?s)DELETE  Orders.*DELETE  Orders")
			pid, err := strconv.Atoi(second[1])
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.Logged("the second replica has ended.*killed")
			fleet(t, first, "the first replica to read all", func(alive, reading, unread int) bool { return alive == 1 && reading == 1 && unread == 0 })
			p.Signal(syscall.SIGINT)
			if status := p.Wait(harness.Patience); status != 0 {
				t.Errorf("exit status %d", status)
			}
			for _, want := range []string{"INSERT  Customers  CustomerId=1", "UPDATE  Orders", " → paid", "DELETE  Orders"} {
				if !strings.Contains(p.Stdout(), want) {
					t.Errorf("%q was not printed", want)
				}
			}
		})
	}
}

// fleet waits until a page shows as many replicas that are alive, and that read
// partitions, and partitions that are read by nobody alive, as it should.
func fleet(t *testing.T, page, what string, is func(alive, reading, unread int) bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(harness.Patience); ; <-tick.C {
		var status struct {
			Replicas []struct {
				ID         string
				Alive      bool
				Partitions int
			}
			Partitions []struct{ State, Owner string }
		}
		answer, err := http.Get(page + "v1/status")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(answer.Body).Decode(&status)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		alive := make(map[string]bool)
		reading, unread := 0, 0
		for _, r := range status.Replicas {
			if r.Alive {
				alive[r.ID] = true
				if r.Partitions > 0 {
					reading++
				}
			}
		}
		for _, p := range status.Partitions {
			if p.State == "RUNNING" && !alive[p.Owner] {
				unread++
			}
		}
		if is(len(alive), reading, unread) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %+v", what, status)
		}
	}
}
