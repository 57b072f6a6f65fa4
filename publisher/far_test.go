package publisher

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
)

// A farNet is a long way to a publisher: what goes there takes no time, and what
// comes from there comes in pieces, each when the last one was acknowledged.
type farNet struct {
	net.Listener
	target string
	begun  atomic.Int64 // connections
	pause  atomic.Int64 // longest time between two pieces, in nanoseconds
}

const (
	// roundTrip is how long a piece takes, and pieceSize its bytes.
	roundTrip = 150 * time.Millisecond
	pieceSize = 256 << 10
)

func newFarNet(t *testing.T, endpoint string) *farNet {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	f := &farNet{Listener: l, target: strings.TrimPrefix(endpoint, "tcp://")}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			f.begun.Add(1)
			running.Go(func() { f.carry(ctx, near) })
		}
	})
	t.Cleanup(func() { stop(); l.Close(); running.Wait() })
	return f
}

func (f *farNet) carry(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	if far.(*net.TCPConn).SetReadBuffer(64<<10) != nil {
		return
	}
	go func() {
		io.Copy(far, near)
		far.Close()
	}()
	tick := time.NewTicker(roundTrip)
	defer tick.Stop()
	for last := time.Now(); ; {
		if _, err := io.CopyN(near, far, pieceSize); err != nil {
			return
		}
		now := time.Now()
		f.pause.Store(max(f.pause.Load(), int64(now.Sub(last))))
		last = now
		<-tick.C
	}
}

// TestHeavy_WhoIsFarAwayIsNotTakenForStalled: acknowledgements come in bursts over a
// long way, with nothing between.
func TestHeavy_WhoIsFarAwayIsNotTakenForStalled(t *testing.T) {
	const size, limit = 64 << 10, 2 << 20
	for end := time.Now().Add(testPatience); ; {
		p := start(t, func(o *Options) { o.MaxBuffer = limit })
		far := newFarNet(t, p.Endpoints()[0])
		reader := subscribeAt(t, access.Bound{Endpoint: "tcp://" + far.Addr().String()}, access.SecretKey{}, "Users/")
		sink := p.Sink(changestream.Partition{})
		ctx, stop := context.WithCancel(context.Background())
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				publishLarge(t, sink, i, size)
			}
		})
		for range 60 {
			reader.change()
		}
		stop()
		publishing.Wait()
		switch pause := time.Duration(far.pause.Load()); {
		case p.Stats().Slow.Load() == 0:
			t.Fatal("there was room for all")
		case far.begun.Load() == 1 && p.Stats().Cut.Load() == 0:
			return
		case pause < 2*roundTrip:
			t.Fatalf("it was cut off, and had taken something every %s at least", pause)
		case time.Now().After(end):
			t.Fatal("this machine is too busy")
		}
	}
}
