package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
)

// resident is the memory of a process, in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("needs /proc")
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// TestRecovery_OutlivesAFlood: clients that send 100,000 requests and read no
// answer, and others that grant nothing, cost a bounded amount of memory; who
// asks meanwhile is answered.
func TestRecovery_OutlivesAFlood(t *testing.T) {
	t.Parallel()
	server := embedded(t, emulator.Options{})
	s := newShop(t, server.Addr())
	replica := harness.Serve(t, s.env)
	sub := harness.Subscribe(t, []string{replica.Endpoint}, "")
	sub.Reading()
	began := s.commit(0, "Orders")
	for i := range 500 {
		s.commit(i%5, "Orders", "Users")
	}
	polite := harness.Recover(t, replica.Recover)
	if n := len(harness.ChangesOf(polite.Replay(began, ""))); n != 1001 {
		t.Fatalf("%d changes", n)
	}
	before := resident(t, replica.Pid())
	ctx, err := zmq.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	var sockets []*zmq.Socket
	t.Cleanup(func() {
		for _, z := range sockets {
			z.SetLinger(0)
			z.Close()
		}
		ctx.Term()
	})
	const clients, requests = 10, 10_000
	for range clients {
		z, err := ctx.NewSocket(zmq.DEALER)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, z)
		z.SetSndhwm(0)
		z.SetRcvhwm(1) // reads nothing
		if err := z.Connect(replica.Recover); err != nil {
			t.Fatal(err)
		}
	}
	filler := strings.Repeat(" ", 500)
	for i := range requests {
		for _, z := range sockets {
			request := fmt.Sprintf(`{"id":"%d","topics":[""],"from":%q,"to":"now"%s}`, i, message.FormatTime(began), filler)
			if _, err := z.SendMessage(message.CommandReplay, request); err != nil {
				t.Fatal(err)
			}
		}
		if i%2000 == 0 {
			if n := len(harness.ChangesOf(polite.Replay(began, "Users/"))); n != 500 {
				t.Fatalf("%d changes in the middle of the flood", n)
			}
		}
	}
	if n := len(harness.ChangesOf(polite.Replay(began, ""))); n != 1001 {
		t.Fatalf("%d changes after the flood", n)
	}
	after := resident(t, replica.Pid())
	t.Logf("%d MiB before, %d MiB after %d requests", before>>20, after>>20, clients*requests)
	if after-before > 128<<20 {
		t.Errorf("the flood costs %d MiB", (after-before)>>20)
	}
	replica.Stop()
}
