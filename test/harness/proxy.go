package harness

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// A Proxy is a network that fails: it passes TCP connections on to a target
// that can change, cuts each after a random number of bytes, in the middle of
// whatever they were of, and can be stalled.
type Proxy struct {
	listener net.Listener
	mean     int // bytes that a connection lives for, on average; 0: for ever
	running  sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	target string        // host:port; empty: nobody is there
	gate   chan struct{} // closed while nothing is stalled
	links  map[*link]bool
	closed bool
}

// A link is one connection and its continuation.
type link struct {
	ends   [2]net.Conn
	budget int // bytes until it is cut
}

// NewProxy listens on a free port until the test ends.
func NewProxy(t testing.TB, seed uint64, mean int) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	p := &Proxy{listener: l, mean: mean, random: rand.New(rand.NewPCG(seed, 0)), gate: make(chan struct{}), links: make(map[*link]bool)}
	close(p.gate)
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		l.Close()
		p.Resume()
		p.Cut()
		p.running.Wait()
	})
	return p
}

// buffer is how much the kernel keeps of a link, each way at each end, in bytes.
const buffer = 64 << 10

// Endpoint is where to connect to.
func (p *Proxy) Endpoint() string { return "tcp://" + p.listener.Addr().String() }

// To passes connections on to another endpoint from now on. Those that there
// are end with their target.
func (p *Proxy) To(endpoint string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = strings.TrimPrefix(endpoint, "tcp://")
}

// Cut cuts all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.cut(l)
	}
}

// Stall stops all traffic until Resume.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default: // it is stalled
	}
}

// Resume ends a stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// cut ends a link; the lock is held.
func (p *Proxy) cut(l *link) {
	delete(p.links, l)
	for _, end := range l.ends {
		end.(*net.TCPConn).SetLinger(0)
		end.Close()
	}
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		far, err := net.Dial("tcp", target)
		if err != nil {
			near.Close()
			continue
		}
		for _, end := range []net.Conn{near, far} { // so that a stall is felt at the other end before long
			end.(*net.TCPConn).SetReadBuffer(buffer)
			end.(*net.TCPConn).SetWriteBuffer(buffer)
		}
		p.join(&link{ends: [2]net.Conn{near, far}})
	}
}

// join lets a link live.
func (p *Proxy) join(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.cut(l)
		return
	}
	l.budget = -1
	if p.mean > 0 {
		l.budget = int(p.random.ExpFloat64() * float64(p.mean))
	}
	p.links[l] = true
	p.running.Go(func() { p.copy(l, 0) })
	p.running.Go(func() { p.copy(l, 1) })
}

// copy carries bytes from one end of a link to the other until one of them
// fails, or it is cut.
func (p *Proxy) copy(l *link, from int) {
	b := make([]byte, 16<<10)
	for {
		n, err := l.ends[from].Read(b)
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		<-gate
		n, over := p.spend(l, n)
		if _, failed := l.ends[1-from].Write(b[:n]); err != nil || failed != nil || over {
			p.mu.Lock()
			p.cut(l)
			p.mu.Unlock()
			return
		}
	}
}

// spend takes n bytes from the budget of a link, as far as it goes.
func (p *Proxy) spend(l *link, n int) (left int, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.budget < 0 {
		return n, false
	}
	if n > l.budget {
		return l.budget, true
	}
	l.budget -= n
	return n, false
}
