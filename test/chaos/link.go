package chaos

import (
	"net"
	"sync"
	"testing"
)

// A Link is a TCP connection's way through the test: it can be made to stand
// still, and be cut with all that is under way on it, as a network or a machine
// that fails would.
type Link struct {
	listener net.Listener
	all      sync.WaitGroup

	mu      sync.Mutex
	target  string        // host:port to connect to; empty: refuse
	flowing chan struct{} // closed while the link does not stand still
	pairs   map[*pair]struct{}
}

// A pair is a connection with its two ends.
type pair struct {
	near, far net.Conn
	cut       chan struct{}
	once      sync.Once
}

func (p *pair) close() {
	p.once.Do(func() {
		close(p.cut)
		p.near.Close()
		p.far.Close()
	})
}

// NewLink opens a link to a host:port, or to nowhere yet.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{listener: listener, target: target, flowing: make(chan struct{}), pairs: make(map[*pair]struct{})}
	close(l.flowing)
	l.all.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.Cut()
		l.all.Wait()
	})
	return l
}

// Addr is the host:port of the near end.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Point says where new connections go; to nowhere when it is empty. Those that
// are there stay.
func (l *Link) Point(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// Stall lets nothing pass until Flow.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flowing:
		l.flowing = make(chan struct{})
	default:
	}
}

// Flow ends a Stall.
func (l *Link) Flow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flowing:
	default:
		close(l.flowing)
	}
}

// Cut closes the connections there are; what is under way is lost.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		p.close()
	}
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		target := l.target
		l.mu.Unlock()
		if target == "" {
			near.Close()
			continue
		}
		far, err := net.Dial("tcp", target)
		if err != nil {
			near.Close()
			continue
		}
		l.join(&pair{near: near, far: far, cut: make(chan struct{})})
	}
}

// join carries bytes both ways until one end closes.
func (l *Link) join(p *pair) {
	l.mu.Lock()
	l.pairs[p] = struct{}{}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.carry(p, p.near, p.far) })
	both.Go(func() { l.carry(p, p.far, p.near) })
	l.all.Go(func() {
		both.Wait()
		l.mu.Lock()
		delete(l.pairs, p)
		l.mu.Unlock()
	})
}

func (l *Link) carry(p *pair, from, to net.Conn) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		flowing := l.flowing
		l.mu.Unlock()
		select {
		case <-flowing:
		case <-p.cut:
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}
