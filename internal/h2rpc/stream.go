package h2rpc

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Header is a name in lower case and a value. Names that end in -bin are not for
// it.
type Header struct{ Name, Value string }

// A Message is what a stream brought. Its memory is borrowed from a pool when the
// message arrives, so that a stream that waits holds none.
type Message struct {
	Bytes []byte
	held  *[]byte
}

// maxPooled is the size of buffers, in bytes, beyond which they are left to the
// garbage collector: few messages are that large.
const maxPooled = 4 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Release gives the memory back; Bytes is not to be used any more.
func (m *Message) Release() {
	if m.held != nil {
		giveBack(m.held)
	}
	m.Bytes, m.held = nil, nil
}

func giveBack(b *[]byte) {
	if cap(*b) <= maxPooled {
		buffers.Put(b)
	}
}

// A Stream is one call. Recv is for one goroutine.
type Stream struct {
	conn *Conn
	id   uint32
	ctx  context.Context
	wake chan struct{} // told that there is something to look at
	stop func() bool   // of watching the context

	// conn.mu covers what follows.
	request []byte // what of it was not sent
	room    int64  // bytes that may be sent
	over    error  // why there is nothing behind the queue; io.EOF: all is well; nil: there may be
	place   int    // among the waiting, from 1; 0: it is not
	wanting bool   // what comes is waited for, and so counts as received

	head   [5]byte // of the message that is coming
	heads  int     // bytes of it that are there
	size   int     // of the message that is coming
	coming *[]byte
	queue  []*[]byte // messages that have come
	next   int       // in the queue
	unread int       // bytes that have come and do not count as received
	debt   int       // bytes that count and were not given back to the peer
	window int       // bytes that may come before they are received
	credit int       // of those, what the peer may send now

	answer answer
}

// Open begins a call of a method (/package.Service/Method) with its request, an
// encoded message. Who does not receive until there is an error must close the
// stream, or end ctx. It does not wait for the server, not even for room for the
// request. Errors are of package status: codes.Unavailable if the connection is of no
// use or has too many streams.
func (c *Conn) Open(ctx context.Context, method string, headers []Header, request []byte) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	s := &Stream{conn: c, ctx: ctx, wake: make(chan struct{}, 1), window: c.opt.Window, credit: c.opt.Window}
	s.request = append(binary.BigEndian.AppendUint32(make([]byte, 1, 5+len(request)), uint32(len(request))), request...)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	if len(c.streams) >= c.limit() {
		defer c.mu.Unlock()
		return nil, status.Error(codes.Unavailable, "no room for a stream on this connection")
	}
	s.id, s.room = c.nextID, c.peerWindow
	if c.nextID += 2; c.nextID > 1<<31-1 {
		c.leaving = true
	}
	c.streams[s.id] = s
	s.stop = context.AfterFunc(ctx, func() { s.cancel(status.FromContextError(ctx.Err()).Err()) })
	if err := c.writeHeaders(ctx, s.id, method, headers); err != nil { // what is half written would be believed
		c.broken(err)
	}
	c.unsent = append(c.unsent, s)
	c.send()
	c.unlock()
	return s, nil
}

// Close gives the call up, if it has not ended.
func (s *Stream) Close() { s.cancel(status.Error(codes.Canceled, "the call was given up")) }

// cancel is reset by who receives: what has come is thrown away.
func (s *Stream) cancel(err error) {
	s.conn.mu.Lock()
	if s.over == nil {
		for _, b := range s.queue[s.next:] {
			giveBack(b)
		}
		s.queue, s.next = nil, 0
	}
	s.reset(http2.ErrCodeCancel, err)
	s.conn.unlock()
}

func (c *Conn) writeHeaders(ctx context.Context, id uint32, method string, headers []Header) error {
	c.header.Reset()
	var failed error
	put := func(name, value string) {
		// Tokens are not for the table that later headers refer to.
		if err := c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: name == "authorization"}); err != nil {
			failed = err
		}
	}
	put(":method", "POST")
	put(":scheme", c.opt.Scheme)
	put(":path", method)
	put(":authority", c.opt.Authority)
	put("content-type", "application/grpc")
	put("te", "trailers")
	put("user-agent", c.opt.UserAgent)
	if at, ok := ctx.Deadline(); ok {
		put("grpc-timeout", timeout(time.Until(at)))
	}
	for _, h := range headers {
		put(h.Name, h.Value)
	}
	if failed != nil {
		return failed
	}
	block := c.header.Bytes()
	first := block[:min(len(block), c.peerFrame)]
	rest := block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: len(rest) == 0})
	for len(rest) > 0 && err == nil {
		n := min(len(rest), c.peerFrame)
		err = c.framer.WriteContinuation(id, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	return err
}

// timeout is a duration as grpc-timeout has it: at most eight digits. It is rounded
// up, so that the server's time is not over before ours.
func timeout(d time.Duration) string {
	if ms := max(0, d)/time.Millisecond + 1; ms < 1e8 {
		return strconv.FormatInt(int64(ms), 10) + "m"
	}
	return strconv.FormatInt(min(int64(d/time.Second)+1, 1e8-1), 10) + "S"
}

// send writes of the requests what there is room for, in their order, but for those
// whose streams have none; c.mu is held.
func (c *Conn) send() {
	c.unsent = slices.DeleteFunc(c.unsent, func(s *Stream) bool {
		for s.over == nil && len(s.request) > 0 {
			n := min(int64(len(s.request)), int64(c.peerFrame), s.room, c.sendWindow)
			if n <= 0 {
				return false
			}
			c.framer.WriteData(s.id, n == int64(len(s.request)), s.request[:n])
			s.request, s.room, c.sendWindow = s.request[n:], s.room-n, c.sendWindow-n
		}
		return true
	})
}

// Recv waits for the next message. It returns io.EOF behind the last if the server
// ended the call with OK, and otherwise its status as an error (see package
// google.golang.org/grpc/status); codes.Unavailable if the connection broke. The
// message that m held is released.
func (s *Stream) Recv(m *Message) error {
	m.Release()
	c := s.conn
	c.mu.Lock()
	for {
		if s.take(m) || s.over != nil {
			break
		}
		s.want()
		if c.leader == nil {
			c.leader = s
		}
		if c.leader != s {
			c.wait(s)
		} else if !c.step() {
			c.fill(0)
		}
	}
	if c.leader == s {
		c.pass()
	}
	err := s.over
	if m.held != nil {
		err = nil
	}
	c.unlock()
	return err
}

// wait gives c.mu up until there is something for s to look at, which may be that it
// has got the turn to read.
func (c *Conn) wait(s *Stream) {
	c.waiting = append(c.waiting, s)
	s.place = len(c.waiting)
	c.unlock()
	<-s.wake
	c.mu.Lock()
}

// call ends the waiting of a stream, if it waits; c.mu is held.
func (s *Stream) call() {
	if s.place == 0 {
		return
	}
	c := s.conn
	last := c.waiting[len(c.waiting)-1]
	c.waiting[s.place-1], last.place = last, s.place
	c.waiting = c.waiting[:len(c.waiting)-1]
	s.place = 0
	s.wake <- struct{}{}
}

// pass gives the turn to read to one of those that wait; c.mu is held.
func (c *Conn) pass() {
	c.leader = nil
	if len(c.waiting) > 0 {
		c.leader = c.waiting[0]
		c.leader.call()
	}
}

// take takes a message from the queue; c.mu is held.
func (s *Stream) take(m *Message) bool {
	if s.next == len(s.queue) {
		return false
	}
	m.held = s.queue[s.next]
	m.Bytes = *m.held
	s.queue[s.next] = nil
	if s.next++; s.next == len(s.queue) {
		s.queue, s.next = s.queue[:0], 0
	}
	s.received(min(s.unread, len(s.head)+len(m.Bytes)))
	return true
}

// want says that somebody waits for what is coming: so it counts as received, even
// if it is a part of a message that is larger than the window.
func (s *Stream) want() {
	s.wanting = true
	s.received(s.unread)
}

// received counts n bytes of what has come as received; c.mu is held. The peer is
// told in large steps, since telling it costs two system calls and wakes it.
func (s *Stream) received(n int) {
	s.unread -= n
	s.debt += n
	c := s.conn
	c.received(n)
	if s.debt < s.window/2 || s.over != nil {
		return
	}
	if wider := c.wider(s); wider > 0 {
		s.window, c.spare, s.debt = s.window+wider, c.spare-wider, s.debt+wider
	}
	c.framer.WriteWindowUpdate(s.id, uint32(s.debt))
	s.credit += s.debt
	s.debt = 0
	c.tell()
}

// wider is by how much the window of a stream that reads fast may grow: to its part
// of what the connection's window has beyond the windows that all streams begin with.
func (c *Conn) wider(s *Stream) int {
	fair := c.opt.Window + (c.opt.ConnWindow-c.opt.Streams*c.opt.Window)/len(c.streams)
	return max(0, min(c.spare, min(fair, maxWindow)-s.window))
}

// received counts n bytes of some stream, which may have ended, as received. The peer
// is told when it has less left than it is owed: with the rest of the window in
// streams that nobody receives from, it could not go on.
func (c *Conn) received(n int) {
	if c.debt += n; c.debt >= min(c.opt.ConnWindow/4, c.credit) {
		c.tell()
	}
}

// tell gives back to the peer what was received of all streams.
func (c *Conn) tell() {
	if c.debt > 0 {
		c.framer.WriteWindowUpdate(0, uint32(c.debt))
		c.credit += c.debt
		c.debt = 0
	}
}

// feed takes a piece of the messages; c.mu is held.
func (s *Stream) feed(p []byte) error {
	for len(p) > 0 {
		if s.heads < len(s.head) {
			n := copy(s.head[s.heads:], p)
			p = p[n:]
			if s.heads += n; s.heads < len(s.head) {
				return nil
			}
			size := binary.BigEndian.Uint32(s.head[1:])
			if s.head[0] != 0 {
				return status.Error(codes.Internal, "the server compressed a message, which it was not asked to do")
			}
			if uint64(size) > uint64(s.conn.opt.MaxMessage) {
				return status.Errorf(codes.ResourceExhausted, "a message of %d bytes; at most %d are taken", size, s.conn.opt.MaxMessage)
			}
			s.size, s.coming = int(size), buffers.Get().(*[]byte)
			*s.coming = (*s.coming)[:0]
			if most := min(s.size+s.size/4, maxPooled); cap(*s.coming) < min(s.size, maxPooled) {
				*s.coming = make([]byte, 0, most)
			}
		}
		n := min(len(p), s.size-len(*s.coming))
		*s.coming = append(*s.coming, p[:n]...)
		p = p[n:]
		if len(*s.coming) == s.size {
			s.deliver()
		}
	}
	return nil
}

func (s *Stream) deliver() {
	s.queue = append(s.queue, s.coming)
	s.coming, s.heads = nil, 0
	s.wanting = false
	s.call()
}

// end ends a stream with the error that Recv is to return behind the messages that
// have come whole; c.mu is held.
func (s *Stream) end(err error) {
	if s.over != nil {
		return
	}
	c := s.conn
	s.over = err
	delete(c.streams, s.id)
	c.spare += s.window - c.opt.Window
	s.stop()
	c.received(s.unread) // what nobody may come for any more
	s.unread = 0
	if s.coming != nil {
		giveBack(s.coming)
		s.coming = nil
	}
	s.call()
	if c.leaving {
		c.leave()
	}
}

// reset is end for a stream that the server has not ended; it is told.
func (s *Stream) reset(code http2.ErrCode, err error) {
	if s.over != nil {
		return
	}
	c := s.conn
	c.framer.WriteRSTStream(s.id, code)
	s.end(err)
	if c.leader == s {
		c.interrupt()
	}
}

// trailers ends a stream as its last headers say.
func (s *Stream) trailers() {
	err := s.answer.status()
	if err == nil && (s.heads > 0 || s.coming != nil) {
		err = status.Error(codes.Internal, "the server ended a call in the middle of a message")
	}
	if err == nil {
		err = io.EOF
	}
	s.ended(err)
}

// ended is end by the server's last frame. If it still waits for the request, it is
// told not to, so that the stream does not count as open there.
func (s *Stream) ended(err error) {
	if len(s.request) > 0 {
		s.conn.framer.WriteRSTStream(s.id, http2.ErrCodeNo)
	}
	s.end(err)
}
