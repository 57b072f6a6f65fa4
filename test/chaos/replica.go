package chaos

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spancast/spancast/test/harness"
)

// slots is the number of replicas that can live at one time.
const slots = 5

// A slot is a place for a replica: links that stay while processes come and go.
type slot struct {
	number            int
	source, meta, pub *Link
	*running          // nil when nobody lives here
}

// running is a process in a slot.
type running struct {
	process *harness.Replica
	journal *journal
	paused  bool
}

func newSlot(t testing.TB, number int, source, meta string) *slot {
	return &slot{number: number, source: NewLink(t, source), meta: NewLink(t, meta), pub: NewLink(t, "")}
}

// start starts a replica and returns when it publishes. Its subscriber comes
// only with connect: until then it has to hold everything back.
func (s *slot) start(t testing.TB, env map[string]string) {
	t.Helper()
	all := map[string]string{
		"SPANCAST_SPANNER_ENDPOINT": s.source.Addr(), "SPANCAST_METADATA_ENDPOINT": s.meta.Addr(),
		"SPANCAST_REQUIRE_SUBSCRIBER": "true", "SPANCAST_SEND_HWM": "1000000",
	}
	for k, v := range env {
		all[k] = v
	}
	s.source.Flow()
	s.meta.Flow()
	s.pub.Flow()
	j := newJournal()
	s.running = &running{process: harness.ServeLogged(t, all, j.line), journal: j}
}

// connect lets the subscriber in.
func (s *slot) connect() { s.pub.Point(strings.TrimPrefix(s.process.Endpoint, "tcp://")) }

// kill ends the process as kill -9 does. What it sent is still delivered.
func (s *slot) kill() time.Time {
	s.pub.Point("")
	at := time.Now()
	s.process.Kill()
	s.running = nil
	return at
}

// crash ends the process as the end of its machine would: what was under way is
// lost.
func (s *slot) crash() time.Time {
	s.pub.Point("")
	at := time.Now()
	s.process.Kill()
	s.pub.Cut()
	s.pub.Flow()
	s.running = nil
	return at
}

func (s *slot) pause() {
	s.process.Signal(syscall.SIGSTOP)
	s.paused = true
}

func (s *slot) wake() {
	if s.running != nil && s.paused {
		s.process.Signal(syscall.SIGCONT)
		s.paused = false
	}
}
