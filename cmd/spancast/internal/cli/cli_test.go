package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
)

// TestExplain_SaysWhereToLookWhenSpannerIsSilent, in whatever words its client
// says that nobody has answered; what is wrong for another reason is left alone.
func TestExplain_SaysWhereToLookWhenSpannerIsSilent(t *testing.T) {
	for text, code := range map[string]codes.Code{
		"timeout / context canceled during getting session.": codes.Canceled,
		"context deadline exceeded":                          codes.DeadlineExceeded,
		"connection error: error reading server preface":     codes.Unavailable,
	} {
		err := changestream.Classify("read", "table T", status.Error(code, text))
		if got := explain(fmt.Errorf("serve: %w", err)); !strings.Contains(got, text) || !strings.Contains(got, "SPANNER_EMULATOR_HOST") {
			t.Errorf("%s: %s", code, got)
		}
	}
	for _, err := range []error{errors.New("no space left"), status.Error(codes.ResourceExhausted, "quota")} {
		if got := explain(changestream.Classify("read", "table T", err)); strings.Contains(got, "check SPANCAST") {
			t.Errorf("%s", got)
		}
	}
}

// TestExplain_TellsWhoIsUnknownFromWhoMayNot: a token that nobody takes is not
// mended by grants.
func TestExplain_TellsWhoIsUnknownFromWhoMayNot(t *testing.T) {
	for code, want := range map[codes.Code]string{codes.Unauthenticated: "GOOGLE_APPLICATION_CREDENTIALS", codes.PermissionDenied: "grants"} {
		if got := explain(changestream.Classify("read", "table T", status.Error(code, "no"))); !strings.Contains(got, want) {
			t.Errorf("%s: %s", code, got)
		}
	}
}

// TestExplain_SaysThatAnotherServerAnswers, whatever gRPC makes of its status.
func TestExplain_SaysThatAnotherServerAnswers(t *testing.T) {
	for code, text := range map[codes.Code]string{
		codes.Unimplemented:    "unexpected HTTP status code received from server: 404 (Not Found)",
		codes.PermissionDenied: `the answer is not gRPC's: HTTP status "403", content type "text/html"`,
	} {
		if got := explain(changestream.Classify("read", "table T", status.Error(code, text))); !strings.Contains(got, "whoever answers is not Spanner; check SPANCAST_SPANNER_ENDPOINT") {
			t.Errorf("%s: %s", code, got)
		}
	}
}
