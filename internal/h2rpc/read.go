package h2rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A frame is the header of one: 9 bytes.
//
//	length (24 bits) type (8) flags (8) stream (32, the first of which is reserved)
type frame struct {
	length int
	kind   http2.FrameType
	flags  http2.Flags
	id     uint32
}

const frameHeader = 9

func parseFrame(b []byte) frame {
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: http2.FrameType(b[3]), flags: http2.Flags(b[4]),
		id: binary.BigEndian.Uint32(b[5:]) & math.MaxInt32,
	}
}

func (f frame) has(flag http2.Flags) bool { return f.flags&flag != 0 }

// fill reads what there is, for at most a time, if it is not zero. Who calls it has
// the turn to read; c.mu is held, but not while it waits.
func (c *Conn) fill(most time.Duration) {
	if c.err != nil {
		return
	}
	c.to = copy(c.in, c.in[c.from:c.to])
	c.from = 0
	c.unlock()
	var err error
	if most > 0 {
		err = c.nc.SetReadDeadline(time.Now().Add(most))
	}
	n := 0
	if err == nil {
		n, err = c.nc.Read(c.in[c.to:])
	}
	c.mu.Lock()
	c.to += n
	switch {
	case n > 0:
		c.heard, c.reading, c.pinged = time.Now(), true, time.Time{}
	case errors.Is(err, os.ErrDeadlineExceeded): // or somebody has interrupted
		err = c.nc.SetReadDeadline(time.Time{})
		fallthrough
	default:
		if err != nil {
			c.broken(err)
		}
	}
}

// interrupt makes who waits in fill look what is new; c.mu is held.
func (c *Conn) interrupt() {
	if err := c.nc.SetReadDeadline(time.Unix(1, 0)); err != nil {
		c.broken(err)
	}
}

// step deals with one frame of what was read, or with a piece of one; false if there
// is not enough of it. Who calls it has the turn to read; c.mu is held.
func (c *Conn) step() bool {
	if c.err != nil || c.from == c.to {
		return false
	}
	b := c.in[c.from:c.to]
	if c.left > 0 || c.padding > 0 {
		c.piece(b)
		return true
	}
	if len(b) < frameHeader {
		return false
	}
	f := parseFrame(b)
	b = b[frameHeader:]
	if f.length > maxFrame {
		return c.wrong("a frame of %d bytes", f.length)
	}
	if c.block != nil && (f.kind != http2.FrameContinuation || f.id != c.frame.id) {
		return c.wrong("headers that do not go on")
	}
	switch f.kind {
	case http2.FrameData:
		padded := 0
		if f.has(http2.FlagDataPadded) {
			padded = 1
		}
		if f.length < padded {
			return c.bad(f)
		}
		if len(b) < padded {
			return false
		}
		c.from += frameHeader + padded
		return c.data(f, b[:padded])
	case http2.FramePriority:
	case http2.FrameHeaders, http2.FrameContinuation, http2.FrameRSTStream, http2.FrameSettings, http2.FramePing, http2.FrameGoAway, http2.FrameWindowUpdate, http2.FramePushPromise:
		if len(b) < f.length {
			return false
		}
		c.from += frameHeader + f.length
		return c.control(f, b[:f.length])
	}
	c.from += frameHeader // what is not known is passed over
	c.frame, c.padding = f, f.length
	return true
}

// wrong breaks a connection whose peer does not keep to the protocol.
func (c *Conn) wrong(format string, args ...any) bool {
	c.broken(fmt.Errorf("the server breaks the rules of HTTP/2: "+format, args...))
	return false
}

// bad is wrong for a frame that is too short or too long, or of a stream that it
// cannot be of.
func (c *Conn) bad(f frame) bool {
	return c.wrong("a %v frame of %d bytes of stream %d", f.kind, f.length, f.id)
}

// opened tells whether there is a stream, or was.
func (c *Conn) opened(id uint32) bool { return id%2 == 1 && id < c.nextID }

// data begins a DATA frame; pad is the byte that says how much padding there is, if
// there is any.
func (c *Conn) data(f frame, pad []byte) bool {
	padding := 0
	if len(pad) > 0 {
		padding = int(pad[0])
	}
	if !c.opened(f.id) || padding+len(pad) > f.length {
		return c.bad(f)
	}
	if c.credit -= f.length; c.credit < 0 {
		return c.wrong("more DATA than there is room for")
	}
	c.frame, c.left, c.padding = f, f.length-padding-len(pad), padding
	s := c.streams[f.id]
	if s == nil {
		c.received(padding + len(pad))
	} else if s.credit -= f.length; s.credit < 0 {
		s.reset(http2.ErrCodeFlowControl, status.Error(codes.Internal, "the server sent more than there was room for"))
		c.received(padding + len(pad))
	} else if s.answer.http == "" {
		s.reset(http2.ErrCodeProtocol, status.Error(codes.Internal, "the server sent a message before its headers"))
		c.received(padding + len(pad))
	} else {
		s.unread += padding + len(pad)
		s.received(padding + len(pad))
	}
	if c.left == 0 && c.padding == 0 {
		c.finish()
	}
	return true
}

// piece takes of the frame that has begun what is there.
func (c *Conn) piece(b []byte) {
	if n := min(len(b), c.left); n > 0 {
		c.from, c.left = c.from+n, c.left-n
		if s := c.streams[c.frame.id]; s == nil {
			c.received(n)
		} else {
			s.unread += n
			if s.wanting {
				s.received(n)
			}
			if err := s.feed(b[:n]); err != nil {
				s.reset(http2.ErrCodeCancel, err)
			}
		}
		b = b[n:]
	}
	if c.left == 0 {
		n := min(len(b), c.padding)
		c.from, c.padding = c.from+n, c.padding-n
	}
	if c.left == 0 && c.padding == 0 {
		c.finish()
	}
}

// finish ends a frame that was taken in pieces.
func (c *Conn) finish() {
	if c.frame.kind != http2.FrameData || !c.frame.has(http2.FlagDataEndStream) {
		return
	}
	if s := c.streams[c.frame.id]; s != nil {
		s.ended(status.Error(codes.Internal, "the server ended a call without saying how"))
	}
}

// control deals with a frame that is there whole. What it returns is step's.
func (c *Conn) control(f frame, b []byte) bool {
	s := c.streams[f.id]
	switch f.kind {
	case http2.FrameHeaders, http2.FrameContinuation:
		return c.headers(f, b)
	case http2.FrameRSTStream:
		if len(b) != 4 || !c.opened(f.id) {
			return c.bad(f)
		}
		if s == nil {
			return true
		}
		code := http2.ErrCode(binary.BigEndian.Uint32(b))
		if at, ok := s.ctx.Deadline(); ok && code == http2.ErrCodeCancel && !time.Now().Before(at) { // which the server knows, too
			s.end(status.FromContextError(context.DeadlineExceeded).Err())
		} else {
			s.end(status.Errorf(codeOfReset(code), "the server ended a call: %v", code))
		}
	case http2.FrameSettings:
		return c.settings(f, b)
	case http2.FramePing:
		if len(b) != 8 || f.id != 0 {
			return c.bad(f)
		}
		if !f.has(http2.FlagPingAck) {
			c.framer.WritePing(true, [8]byte(b))
		}
	case http2.FrameGoAway:
		if len(b) < 8 || f.id != 0 {
			return c.bad(f)
		}
		c.goAway(binary.BigEndian.Uint32(b)&math.MaxInt32, http2.ErrCode(binary.BigEndian.Uint32(b[4:])), string(b[8:]))
	case http2.FrameWindowUpdate:
		return c.windowUpdate(f, b)
	case http2.FramePushPromise:
		return c.wrong("PUSH_PROMISE, which was switched off")
	}
	return true
}

// goAway ends the streams that the server has not taken, behind last, and begins no
// more on this connection.
func (c *Conn) goAway(last uint32, code http2.ErrCode, text string) {
	if code != http2.ErrCodeNo {
		c.objection = fmt.Sprintf(", GOAWAY: %v %.200q", code, text)
	}
	for id, s := range c.streams {
		if id > last {
			s.end(c.unwanted())
		}
	}
	c.leave()
}

func (c *Conn) windowUpdate(f frame, b []byte) bool {
	if len(b) != 4 || f.id != 0 && !c.opened(f.id) {
		return c.bad(f)
	}
	n := int64(binary.BigEndian.Uint32(b) & math.MaxInt32)
	s := c.streams[f.id]
	switch {
	case f.id == 0:
		if c.sendWindow += n; n == 0 || c.sendWindow > math.MaxInt32 {
			return c.wrong("WINDOW_UPDATE by %d", n)
		}
	case s != nil:
		if s.room += n; n == 0 || s.room > math.MaxInt32 {
			s.reset(http2.ErrCodeFlowControl, status.Error(codes.Internal, "the server said something impossible about its window"))
		}
	}
	c.send()
	return true
}

func (c *Conn) settings(f frame, b []byte) bool {
	if f.id != 0 || len(b)%6 != 0 || f.has(http2.FlagSettingsAck) && len(b) > 0 {
		return c.bad(f)
	}
	if f.has(http2.FlagSettingsAck) {
		return true
	}
	for ; len(b) > 0; b = b[6:] {
		v := binary.BigEndian.Uint32(b[2:])
		switch http2.SettingID(binary.BigEndian.Uint16(b)) {
		case http2.SettingMaxConcurrentStreams:
			c.maxStreams = v
		case http2.SettingHeaderTableSize:
			c.encoder.SetMaxDynamicTableSizeLimit(v)
		case http2.SettingInitialWindowSize:
			if v > math.MaxInt32 {
				return c.wrong("an initial window of %d bytes", v)
			}
			for _, s := range c.streams {
				s.room += int64(v) - c.peerWindow
			}
			c.peerWindow = int64(v)
		case http2.SettingMaxFrameSize:
			if v < maxFrame || v >= 1<<24 {
				return c.wrong("frames of at most %d bytes", v)
			}
			c.peerFrame = int(v)
		}
	}
	c.framer.WriteSettingsAck()
	c.send()
	return true
}

// headers takes a part of a header block, and decodes it when it is there whole.
func (c *Conn) headers(f frame, b []byte) bool {
	if f.kind == http2.FrameContinuation && c.block == nil || !c.opened(f.id) {
		return c.bad(f)
	}
	if f.kind == http2.FrameHeaders {
		padding, front := 0, 0
		if f.has(http2.FlagHeadersPadded) && len(b) > 0 {
			padding, front = int(b[0]), 1
		}
		if f.has(http2.FlagHeadersPriority) {
			front += 5
		}
		if f.has(http2.FlagHeadersPadded) && len(b) == 0 || front+padding > len(b) {
			return c.bad(f)
		}
		b = b[front : len(b)-padding]
		c.frame = f // whose flag says whether the stream ends
	}
	if c.block = append(c.block, b...); len(c.block) > maxHeaders {
		return c.wrong("headers of more than %d bytes", maxHeaders)
	}
	if c.block == nil {
		c.block = []byte{}
	}
	if !f.has(http2.FlagHeadersEndHeaders) {
		return true
	}
	s := c.streams[f.id]
	c.answer = nil
	if s != nil {
		c.answer = &s.answer
	}
	_, err := c.decoder.Write(c.block)
	if err := errors.Join(err, c.decoder.Close()); err != nil {
		return c.wrong("headers: %v", err)
	}
	c.block = nil
	switch {
	case s == nil:
	case c.frame.has(http2.FlagHeadersEndStream):
		s.trailers()
	default:
		if err := s.answer.begun(); err != nil {
			s.reset(http2.ErrCodeCancel, err)
		}
	}
	return true
}

// field takes one header.
func (c *Conn) field(h hpack.HeaderField) {
	if c.answer != nil {
		c.answer.field(h)
	}
}
