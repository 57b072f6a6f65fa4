package fault

import (
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
)

// Listener gives connections that hang while Faults.Stall is in force: what a
// client sends is not taken, what is to be sent to it waits. It knows its
// connections, because a gRPC server waits up to two minutes for one that never
// said anything, when it stops.
type Listener struct {
	net.Listener
	faults *Switch

	mu     sync.Mutex
	open   map[*conn]bool
	broken bool
}

// Listen makes the connections of a listener hang when they are to.
func (s *Switch) Listen(l net.Listener) *Listener {
	return &Listener{Listener: l, faults: s, open: map[*conn]bool{}}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, from: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return nil, errors.Join(net.ErrClosed, raw.Close())
	}
	l.open[c] = true
	return c, nil
}

// Break closes the listener and all connections that came from it.
func (l *Listener) Break() {
	_ = l.Listener.Close() // there is nothing that could be done about it, nor below
	l.mu.Lock()
	l.broken = true
	open := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

func (l *Listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// conn is a connection that a stall holds up. Close ends the wait of those
// that are held up.
type conn struct {
	net.Conn
	from   *Listener
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p) // it may well have begun before the stall
	c.hold()
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.hold()
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.from.forget(c)
	})
	return c.Conn.Close()
}

// hold returns when nothing is stalled or the connection is closed.
func (c *conn) hold() {
	for lifted := c.from.faults.stalled(); lifted != nil; lifted = c.from.faults.stalled() {
		select {
		case <-lifted:
		case <-c.closed:
			return
		}
	}
}
