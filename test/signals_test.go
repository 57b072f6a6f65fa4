package test

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// TestServe_EndsWithoutSpanner: with a Spanner that does not answer any more the
// first signal ends a replica all the same, without positions; a second does not
// wait for that.
func TestServe_EndsWithoutSpanner(t *testing.T) {
	t.Parallel()
	for _, signals := range []int{1, 2} {
		emulator := harness.Start(t, nil, "emulator", "--port", "0")
		address := emulator.Printed(`Spanner emulator on (\S+)`)[1]
		s := newShop(t, address)
		replica := harness.Serve(t, s.with("SPANCAST_HTTP", "127.0.0.1:0", "SPANCAST_HEARTBEAT", "1s"))
		page := replica.Logged(`status page: (http://[0-9.:]+)`)[1]
		replica.Logged("reading begins")
		emulator.Signal(syscall.SIGSTOP)
		replica.Signal(syscall.SIGTERM)
		if signals == 1 {
			if status := replica.Wait(harness.Patience); status != 0 || !strings.Contains(replica.Stderr(), "could not save the last positions") {
				t.Errorf("exit status %d after SIGTERM", status)
			}
			continue
		}
		wait.Until(t, "the replica to leave", func() bool { return strings.Contains(ready(page), "the service is ending") })
		replica.Signal(syscall.SIGTERM)
		if status := replica.Wait(harness.Patience); status != 1 {
			t.Errorf("exit status %d after a second SIGTERM", status)
		}
	}
}

// TestServe_OutlivesHangUp: where there is no terminal, SIGHUP does not end a
// replica, least of all without an order; what it is usually sent for happens
// anyway.
func TestServe_OutlivesHangUp(t *testing.T) {
	t.Parallel()
	o := newOffice(t, databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
	replica := harness.Serve(t, o.env)
	replica.Logged("reading begins")
	replica.Signal(syscall.SIGHUP)
	replica.Logged("SIGHUP changes nothing: files are watched")
	replica.Stop()
}

// ready is what the health check says, empty without an answer.
func ready(page string) string {
	answer, err := http.Get(page + "/healthz/ready")
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}
