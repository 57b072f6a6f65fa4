package access

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// A Listener binds the endpoints of one socket, and keeps them bound. It is for
// the goroutine that owns the socket, except for Bound and Due.
//
// Unbinding ends the connections that came in through an endpoint, with what is
// queued for them; nothing else that libzmq has ends a connection. The port is
// free a little later, so that binding it again may take a few attempts.
type Listener struct {
	z      *zmq.Socket
	gate   *Gate // nil: no CURVE
	domain Domain
	wanted []string // as configured

	keys    *[]SecretKey // of the gate, as they are bound
	places  []place
	closing time.Time   // since when there are endpoints that are yet to be bound again
	due     atomic.Bool // everybody is to connect again
	bound   atomic.Pointer[[]Bound]
	monitor *monitor // nil without a gate
}

// A Bound endpoint, and the server key of those that connect to it.
type Bound struct {
	Endpoint string // with the port that was chosen for 0 and *
	Key      PublicKey
}

// A place is an endpoint with a server key.
type place struct {
	endpoint string // as bound, once it is
	key      SecretKey
	isBound  bool
}

// bindPatience is how long a port may take to become free again.
const bindPatience = 10 * time.Second

// Listen binds endpoints. With a nil gate there is no CURVE.
func Listen(z *zmq.Socket, g *Gate, d Domain, endpoints []string) (*Listener, error) {
	l := &Listener{z: z, gate: g, domain: d, wanted: endpoints}
	l.bound.Store(new([]Bound))
	if g != nil {
		l.keys = g.keys.Load()
		g.mu.Lock()
		g.listeners = append(g.listeners, l)
		g.mu.Unlock()
	}
	if err := l.observe(); err != nil {
		return nil, err
	}
	l.places = l.plan()
	for i := range l.places {
		if err := l.bind(&l.places[i]); err != nil {
			l.Forget()
			return nil, fmt.Errorf("bind %s: %w", l.places[i].endpoint, ExplainBind(err))
		}
	}
	l.publish()
	return l, nil
}

// observe lets the gate count handshakes that come to nothing.
func (l *Listener) observe() (err error) {
	if l.gate != nil {
		l.monitor, err = monitorOf(l.z, &l.gate.stats.Dropped)
	}
	return err
}

// Forget takes the listener, if there is one, from its gate, before the socket is
// closed. It closes nothing.
func (l *Listener) Forget() {
	if l == nil || l.gate == nil {
		return
	}
	if l.monitor != nil {
		l.monitor.stop()
	}
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	l.gate.listeners = slices.DeleteFunc(l.gate.listeners, func(o *Listener) bool { return o == l })
}

// Bound are the endpoints that are bound, with their server keys.
func (l *Listener) Bound() []Bound { return *l.bound.Load() }

// Endpoints are those that are bound, with the ports that were chosen for 0 and *.
func (l *Listener) Endpoints() (endpoints []string) {
	for _, b := range l.Bound() {
		endpoints = append(endpoints, b.Endpoint)
	}
	return endpoints
}

// Due tells whether the listener is to be tended at once.
func (l *Listener) Due() bool { return l.due.Load() }

// Evict has everybody connect again.
func (l *Listener) Evict() { l.due.Store(true) }

// Tend does what is to be done: it opens endpoints anew when somebody has to go
// or a server key has changed. It returns at once when there is nothing to do.
func (l *Listener) Tend(now time.Time) error {
	due := l.due.Swap(false)
	if l.gate != nil && l.gate.keys.Load() != l.keys {
		if err := l.rekey(); err != nil {
			return err
		}
	}
	if due {
		for i := range l.places {
			if err := l.unbind(&l.places[i]); err != nil {
				return err
			}
		}
	}
	return l.bindAgain(now)
}

// rekey closes what has a key that is not in use any more, and plans what has a
// new one.
func (l *Listener) rekey() error {
	l.keys = l.gate.keys.Load()
	next := l.plan()
	for i := range l.places {
		if i < len(next) && next[i].key == l.places[i].key {
			next[i] = l.places[i]
			continue
		}
		if i < len(next) {
			next[i].endpoint = l.places[i].endpoint // with the port that was chosen
		}
		if err := l.unbind(&l.places[i]); err != nil {
			return err
		}
	}
	l.places = next
	return nil
}

// plan lists the places that there are to be.
func (l *Listener) plan() []place {
	if l.gate == nil {
		places := make([]place, len(l.wanted))
		for i, e := range l.wanted {
			places[i].endpoint = e
		}
		return places
	}
	var places []place
	for i, key := range *l.keys {
		for _, e := range l.wanted {
			places = append(places, place{endpoint: Shift(e, i*l.gate.shift), key: key})
		}
	}
	return places
}

// Shift moves an endpoint by a number of ports. A port that is chosen by the
// system stays so, and a path gets an ending.
func Shift(endpoint string, by int) string {
	if by == 0 {
		return endpoint
	}
	if path, isPath := strings.CutPrefix(endpoint, "ipc://"); isPath {
		return "ipc://" + path + "." + strconv.Itoa(by)
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(endpoint, "tcp://"))
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n == 0 {
		return endpoint
	}
	return "tcp://" + net.JoinHostPort(host, strconv.Itoa(n+by))
}

func (l *Listener) bind(p *place) error {
	if l.gate != nil {
		if err := Secure(l.z, p.key, l.domain); err != nil {
			return err
		}
	}
	if err := l.z.Bind(p.endpoint); err != nil {
		return err
	}
	p.isBound = true
	if last, err := l.z.GetLastEndpoint(); err == nil {
		p.endpoint = strings.TrimRight(last, "\x00")
	}
	return nil
}

func (l *Listener) unbind(p *place) error {
	if !p.isBound {
		return nil
	}
	p.isBound = false
	if err := l.z.Unbind(p.endpoint); err != nil {
		return fmt.Errorf("unbind %s: %w", p.endpoint, err)
	}
	return nil
}

// bindAgain binds what is not bound, as far as it can be.
func (l *Listener) bindAgain(now time.Time) error {
	open := 0
	for i := range l.places {
		p := &l.places[i]
		if p.isBound {
			continue
		}
		open++
		err := l.bind(p)
		switch {
		case err == nil:
			open--
		case zmq.AsErrno(err) != zmq.Errno(syscall.EADDRINUSE) || !l.closing.IsZero() && now.Sub(l.closing) > bindPatience:
			return fmt.Errorf("bind %s again: %w", p.endpoint, ExplainBind(err))
		}
	}
	switch {
	case open == 0:
		l.closing = time.Time{}
	case l.closing.IsZero():
		l.closing = now
	}
	l.publish()
	return nil
}

// publish says what is bound, if that has changed.
func (l *Listener) publish() {
	var out []Bound
	for _, p := range l.places {
		out = append(out, Bound{p.endpoint, p.key.Public()})
	}
	if !slices.Equal(out, l.Bound()) {
		l.bound.Store(&out)
	}
}

// ExplainBind adds what to do to errors of binding and connecting that people
// meet.
func ExplainBind(err error) error {
	switch zmq.AsErrno(err) {
	case zmq.Errno(syscall.EADDRINUSE):
		return fmt.Errorf("%w; another process has the port, choose another one", err)
	case zmq.Errno(syscall.EADDRNOTAVAIL), zmq.Errno(syscall.ENODEV):
		return fmt.Errorf("%w; this machine has no such address", err)
	case zmq.Errno(syscall.EINVAL), zmq.Errno(syscall.EPROTONOSUPPORT):
		return fmt.Errorf("%w; an endpoint looks like tcp://127.0.0.1:5556", err)
	}
	return err
}
