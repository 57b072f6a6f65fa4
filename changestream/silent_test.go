package changestream

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// Somebody who accepts connections and says nothing is asked no longer than a
// query may be silent: the first who asks holds up all others, who want his session.
func TestSource_WhoDoesNotAnswerAtAllIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := Dialer{Authority: l.Addr().String(), Connect: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}}
	var stats Stats
	s := &source{conns: newConns(dial, "d", ""), heartbeat: time.Millisecond, stats: &stats}
	defer s.conns.close()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err = s.run(ctx, query{start: time.Now(), end: time.Now()}, NewDecoder(&s.schemas), func(func()) error { return nil })
	if !errors.Is(err, errStalled) || stats.Stalls.Load() != 1 {
		t.Errorf("%v, %d stalls", err, stats.Stalls.Load())
	}
}
