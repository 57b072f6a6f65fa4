package h2rpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options set how a connection is used. All are needed unless they say otherwise.
type Options struct {
	Scheme    string // http or https
	Authority string // host:port, for the server
	UserAgent string
	// Streams is how many streams there are at most. Window is how much of each may
	// arrive before it is received, and ConnWindow how much of all, in bytes: at
	// least 64 KiB and Streams times Window, so that streams that are not received
	// from do not stop the others, and at most 1 GiB. What is beyond that product
	// makes the windows of streams wider that are received from fast.
	Streams, Window, ConnWindow int
	MaxMessage                  int // largest message, in bytes
}

const (
	// readBuffer is how much is read from a connection at a time, in bytes.
	readBuffer = 64 << 10
	// maxHeaders bounds a header block, in bytes: metadata and the details of an
	// error.
	maxHeaders = 64 << 10
	// A peer allows that many streams and bytes before it says otherwise.
	usualStreams = 100
	usualWindow  = 65535
	maxFrame     = 16384
	// maxWindow is the widest window of a stream, in bytes. More makes no difference
	// but for memory, and for the processor's caches.
	maxWindow = 1 << 20
	// writeTimeout is how long the peer may take no bytes.
	writeTimeout = 20 * time.Second
)

// A Conn is a connection with streams on it. It is made once, and not made again
// when it breaks: then all of its streams fail with codes.Unavailable.
type Conn struct {
	nc  net.Conn
	opt Options

	writing sync.Mutex // held while out is written to nc
	written []byte     // memory of what is being written
	ended   chan struct{}
	tended  sync.WaitGroup

	mu      sync.Mutex // of all that follows
	err     error      // why the connection is of no use any more
	leaving bool       // no new streams are begun
	streams map[uint32]*Stream
	nextID  uint32
	leader  *Stream   // who has the turn to read; nil: nobody
	waiting []*Stream // who waits for a message and does not have it
	unsent  []*Stream // whose requests wait for room
	debt    int       // bytes that were received and not given back to the peer
	credit  int       // bytes that the peer may send
	spare   int       // bytes of ConnWindow that are in no stream's window

	// What the peer said.
	objection  string // to this connection, as a part of an error; empty: none
	maxStreams uint32
	sendWindow int64 // bytes that may be sent to it
	peerWindow int64 // with which its streams begin
	peerFrame  int

	heard   time.Time // when something was read last
	pinged  time.Time // when it was asked for a sign of life that it has not given; zero: it was not
	reading bool      // somebody has read since tend looked

	// Of who has the turn.
	in       []byte
	from, to int // what is in there
	frame    frame
	left     int    // bytes of the frame's content that are still to come, if it is taken in pieces
	padding  int    // bytes to be passed over behind that
	block    []byte // headers that go on in the next frame
	decoder  *hpack.Decoder
	answer   *answer // that headers are decoded into

	// To be written; mu covers it.
	out     bytes.Buffer
	framer  *http2.Framer
	header  bytes.Buffer
	encoder *hpack.Encoder
}

// New begins HTTP/2 on a connection, which is the Conn's from then on. It does not
// wait for the peer.
func New(nc net.Conn, o Options) (*Conn, error) {
	c := &Conn{
		nc: nc, opt: o, ended: make(chan struct{}), streams: map[uint32]*Stream{}, nextID: 1, credit: o.ConnWindow, spare: o.ConnWindow - o.Streams*o.Window,
		maxStreams: usualStreams, sendWindow: usualWindow, peerWindow: usualWindow, peerFrame: maxFrame,
		heard: time.Now(), in: make([]byte, readBuffer),
	}
	c.framer = http2.NewFramer(&c.out, nil)
	c.encoder = hpack.NewEncoder(&c.header)
	c.decoder = hpack.NewDecoder(4096, c.field)
	c.decoder.SetMaxStringLength(maxHeaders)
	c.out.WriteString(http2.ClientPreface)
	err := errors.Join(
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(o.Window)},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaders}),
		c.framer.WriteWindowUpdate(0, uint32(o.ConnWindow-usualWindow)))
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("begin HTTP/2 with %s: %w", o.Authority, err)
	}
	c.tended.Go(c.tend)
	return c, nil
}

// Limit is how many streams there may be at a time, at least one; 0 for a
// connection on which none may be begun any more, since it is broken or the server
// wants it to be left.
func (c *Conn) Limit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit()
}

func (c *Conn) limit() int {
	if c.err != nil || c.leaving {
		return 0
	}
	return max(1, int(min(c.maxStreams, uint32(c.opt.Streams))))
}

// Close breaks the connection. Streams that there are fail.
func (c *Conn) Close() {
	c.mu.Lock()
	c.fail(status.Error(codes.Canceled, "the connection was closed"))
	c.mu.Unlock()
	c.tended.Wait()
}

// fail ends the connection and all of its streams with an error of gRPC's; c.mu is
// held. Only the first call does anything.
func (c *Conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.ended)
	c.nc.Close()
	for _, s := range c.streams {
		s.end(err)
	}
}

// broken is fail for what went wrong with the connection.
func (c *Conn) broken(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the server closed the connection")
	}
	c.fail(status.Errorf(codes.Unavailable, "connection to %s: %v%s", c.opt.Authority, err, c.objection))
}

// leave begins no more streams, and ends the connection when there are none; c.mu is
// held.
func (c *Conn) leave() {
	c.leaving = true
	if len(c.streams) == 0 {
		c.fail(c.unwanted())
	}
}

func (c *Conn) unwanted() error {
	return status.Errorf(codes.Unavailable, "the server wants this connection to be left%s", c.objection)
}

// flush writes what is to be written; c.mu must not be held.
func (c *Conn) flush() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	c.written = append(c.written[:0], c.out.Bytes()...)
	c.out.Reset()
	c.mu.Unlock()
	if len(c.written) == 0 {
		return nil
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.nc.Write(c.written)
	return err
}

// unlock gives c.mu up and writes what is to be written.
func (c *Conn) unlock() {
	some := c.out.Len() > 0 && c.err == nil
	c.mu.Unlock()
	if !some {
		return
	}
	if err := c.flush(); err != nil {
		c.mu.Lock()
		c.broken(err)
		c.mu.Unlock()
	}
}

const (
	// tendInterval is how often a connection is looked at that nobody reads.
	tendInterval = 5 * time.Second
	tendWait     = 5 * time.Millisecond
	// keepalive is the silence, in streams that there are, after which the peer
	// is asked for a sign of life, and patience how long it may take. Servers
	// object to being asked more often (gRPC's A8).
	keepalive = 2 * time.Minute
	patience  = 15 * time.Second
)

// tend reads for streams that are all busy, so that pings are answered and the end
// of an idle connection is seen, and asks a silent peer for a sign of life.
func (c *Conn) tend() {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	self := &Stream{conn: c, wake: make(chan struct{}, 1)}
	for {
		select {
		case <-c.ended:
			return
		case now := <-tick.C:
			c.mu.Lock()
			if c.leader == nil && !c.reading {
				c.leader = self
				c.catchUp()
				c.pass()
			}
			c.reading = false
			c.check(now)
			c.unlock()
		}
	}
}

// catchUp reads what there is, until somebody waits for the turn: what the peer wants
// to be answered may be behind all that nobody receives.
func (c *Conn) catchUp() {
	for more := true; more; more = c.reading && len(c.waiting) == 0 {
		for c.step() {
		}
		c.reading = false
		c.fill(tendWait)
	}
	for c.step() {
	}
}

// check asks for a sign of life when it is time, and gives the peer up when it
// gives none; c.mu is held.
func (c *Conn) check(now time.Time) {
	switch {
	case c.err != nil:
	case c.pinged.IsZero():
		if len(c.streams) > 0 && now.Sub(c.heard) > keepalive {
			c.ping(now)
		}
	case now.Sub(c.pinged) > patience:
		c.broken(fmt.Errorf("no sign of life for %s", now.Sub(c.heard).Round(time.Second)))
	}
}

// ping asks for a sign of life; c.mu is held.
func (c *Conn) ping(now time.Time) {
	c.pinged = now
	c.framer.WritePing(false, [8]byte{'s', 'p', 'a', 'n', 'c', 'a', 's', 't'})
}

// Doubt asks the peer for a sign of life because a stream was silent for too long.
// A connection without one is given up, so that other streams do not begin on it.
func (c *Conn) Doubt() {
	c.mu.Lock()
	if c.err == nil && c.pinged.IsZero() {
		c.ping(time.Now())
	}
	c.unlock()
}
