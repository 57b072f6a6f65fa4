package connect

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// TestReach_SaysWhoDoesNotSpeakHTTP2 before a client tries for ever.
func TestReach_SaysWhoDoesNotSpeakHTTP2(t *testing.T) {
	for name, c := range map[string]struct {
		server func(net.Conn)
		plain  bool
		want   string
	}{
		"HTTP/1.1":          {badRequest, true, errNoHTTP2.Error()},
		"closes":            {heard, true, "the server closed the connection instead of beginning HTTP/2"},
		"silent":            {silent, true, errSilent.Error()},
		"silent before TLS": {silent, false, errSilent.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(limit(t), time.Second)
			defer cancel()
			address := listen(t, nil, c.server)
			err := Reach(ctx, config.Target{Endpoint: address, PlainText: c.plain})
			if err == nil || err.Error() != "connect to Spanner at "+address+": "+c.want || changestream.CauseOf(err) != changestream.Unreachable {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("silent under TLS", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(limit(t), time.Second)
		defer cancel()
		address := listen(t, trusted().server(t, "127.0.0.1", "h2"), silent)
		if err := Reach(ctx, config.Target{Endpoint: address}); err == nil || !strings.HasSuffix(err.Error(), errSilent.Error()) {
			t.Errorf("%v", err)
		}
	})
}

func TestReach_EndsWithTheContext(t *testing.T) {
	long := limit(t)
	ctx, cancel := context.WithCancel(long)
	address := listen(t, nil, func(nc net.Conn) {
		heard(nc)
		cancel()
		silent(nc)
	})
	if err := Reach(ctx, config.Target{Endpoint: address, PlainText: true}); !errors.Is(err, context.Canceled) || long.Err() != nil {
		t.Errorf("%v", err)
	}
}
