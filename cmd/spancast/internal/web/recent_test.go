package web

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// What a reader tries again for ever has one message; the advice goes by the reason.
func TestRecent_AdviceGoesByTheReason(t *testing.T) {
	var recent Recent
	log := slog.New(recent.Handler(slog.DiscardHandler))
	for reason, want := range map[string]string{
		"read partition 1 of change stream S: credentials: auth: cannot fetch token: 503":                  "metadata server",
		"read partition 1 of change stream S: connect to spanner.googleapis.com:443: no route to host":     "HTTPS_PROXY",
		"read partition 1 of change stream S: rpc error: code = ResourceExhausted desc = too many queries": "quotas",
	} {
		log.Warn("query failed, trying again", "error", errors.New(reason))
		if got := recent.Problems()[0]; got.Advice == "" || !strings.Contains(got.Advice, want) {
			t.Errorf("%s: %s", reason, got.Advice)
		}
	}
}
