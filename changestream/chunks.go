package changestream

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// chunks puts values together that came in pieces, by the rules of
// PartialResultSet.chunked_value: strings are joined; lists are joined, and so
// are, when they may have been cut, the last element of the first and the first
// of the second. Structs do not occur in a change stream's rows.
//
// It works on the wire bytes, each of which is copied once for each level of
// nesting, however many pieces there are; and it may join what was cut in the
// middle of a character.
type chunks struct {
	value *piece // nil when no value is open
}

// A piece is the beginning of a value that is not complete yet.
type piece struct {
	kind  protowire.Number
	buf   []byte // of a string its bytes, of a list its complete elements, encoded
	child *piece // of a list its last element, as long as that may go on
}

var errChunk = errors.New("a value in pieces whose pieces do not fit together")

// join takes the values of a frame and returns those that are complete.
func (c *chunks) join(values [][]byte, chunked bool) ([][]byte, error) {
	if c.value == nil && !chunked || len(values) == 0 {
		return values, nil
	}
	if c.value != nil {
		if err := c.value.merge(values[0]); err != nil {
			return nil, err
		}
		if len(values) == 1 && chunked {
			return values[:0], nil
		}
		values[0], c.value = c.value.encode(), nil
	}
	if !chunked {
		return values, nil
	}
	last := len(values) - 1
	var err error
	c.value, err = newPiece(values[last])
	if err == nil && c.value == nil {
		err = errChunk
	}
	return values[:last], err
}

// newPiece opens a value; nil when it is of a kind that is never cut.
func newPiece(b []byte) (*piece, error) {
	v, err := parseValue(b)
	if err != nil {
		return nil, err
	}
	p := &piece{kind: v.kind}
	switch v.kind {
	case valueString:
		p.buf = append(p.buf, v.data...)
		return p, nil
	case valueList:
		return p, p.mergeList(v)
	}
	return nil, nil
}

// merge joins the next piece of the value to it.
func (p *piece) merge(b []byte) error {
	v, err := parseValue(b)
	if err != nil {
		return err
	}
	if v.kind != p.kind {
		return errChunk
	}
	if v.kind == valueString {
		if len(p.buf)+len(v.data) > cap(p.buf) {
			p.buf = slices.Grow(p.buf, max(len(v.data), len(p.buf))) // few steps, and so few copies
		}
		p.buf = append(p.buf, v.data...)
		return nil
	}
	return p.mergeList(v)
}

func (p *piece) mergeList(v value) error {
	var last []byte // element that is last so far and not in p yet
	l := list{rest: v.data}
	first := true
	for raw, ok := l.nextRaw(); ok; raw, ok = l.nextRaw() {
		mayJoin := first && p.child != nil
		first = false
		if mayJoin {
			merged, err := p.child.mergeFirst(raw)
			if err != nil {
				return err
			}
			if merged {
				continue
			}
		}
		p.close(last)
		last = raw
	}
	if l.err != nil || last == nil {
		return l.err
	}
	child, err := newPiece(last)
	if err != nil {
		return err
	}
	if child == nil {
		p.close(last)
	} else {
		p.close(nil)
	}
	p.child = child
	return nil
}

// mergeFirst joins the first element of the next piece of a list to the last
// element of what is there, unless it is of a kind that is never cut.
func (p *piece) mergeFirst(raw []byte) (bool, error) {
	v, err := parseValue(raw)
	if err != nil || v.kind != valueString && v.kind != valueList {
		return false, err
	}
	return true, p.merge(raw)
}

// close completes the open element, and adds another, when there is one.
func (p *piece) close(element []byte) {
	if c := p.child; c != nil {
		c.close(nil)
		n := c.size()
		p.buf = slices.Grow(p.buf, n+16)
		p.buf = protowire.AppendVarint(protowire.AppendTag(p.buf, 1, protowire.BytesType), uint64(n))
		p.buf, p.child = c.appendTo(p.buf), nil
	}
	if element != nil {
		p.buf = protowire.AppendBytes(protowire.AppendTag(p.buf, 1, protowire.BytesType), element)
	}
}

// encode writes the value as a google.protobuf.Value.
func (p *piece) encode() []byte {
	p.close(nil)
	return p.appendTo(make([]byte, 0, p.size()))
}

// size is the length of a closed piece as a google.protobuf.Value.
func (p *piece) size() int { return protowire.SizeTag(p.kind) + protowire.SizeBytes(len(p.buf)) }

// appendTo writes a closed piece.
func (p *piece) appendTo(dst []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, p.kind, protowire.BytesType), p.buf)
}
