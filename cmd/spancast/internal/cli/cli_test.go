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
