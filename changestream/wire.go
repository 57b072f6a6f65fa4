package changestream

import (
	"errors"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spancast/spancast/internal/jsonscan"
)

var errWire = errors.New("malformed protobuf")

// fields walks the fields of one protobuf message in place.
//
//	tag (varint: field number << 3 | wire type) payload ...
//
// where the payload is a varint (type 0), 8 bytes (1), a varint length and that
// many bytes (2), or 4 bytes (5). Groups are skipped.
type fields struct {
	rest []byte
	num  protowire.Number
	typ  protowire.Type
	data []byte // payload of type 2
	bits uint64 // payload of types 0, 1 and 5
	err  error
}

// next moves to the next field; false at the end or on an error.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	// Nearly all fields met here have a one-byte tag and a length.
	if tag := f.rest[0]; tag < 0x80 && tag&7 == byte(protowire.BytesType) && tag >= 8 && len(f.rest) > 1 {
		n, start := uint64(f.rest[1]), 2
		if n >= 0x80 {
			var used int
			n, used = protowire.ConsumeVarint(f.rest[1:])
			if used < 0 {
				return f.fail()
			}
			start = 1 + used
		}
		if n > uint64(len(f.rest)-start) {
			return f.fail()
		}
		f.num, f.typ = protowire.Number(tag>>3), protowire.BytesType
		f.data, f.rest = f.rest[start:start+int(n)], f.rest[start+int(n):]
		return true
	}
	return f.nextSlow()
}

func (f *fields) nextSlow() bool {
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		return f.fail()
	}
	f.num, f.typ, f.data, f.bits = num, typ, nil, 0
	body := f.rest[n:]
	switch typ {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(body)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(body)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(body)
		f.bits = uint64(v)
	case protowire.BytesType:
		f.data, n = protowire.ConsumeBytes(body)
	default:
		n = protowire.ConsumeFieldValue(num, typ, body)
	}
	if n < 0 {
		return f.fail()
	}
	f.rest = body[n:]
	return true
}

func (f *fields) fail() bool {
	f.err = errWire
	return false
}

// Kinds of a google.protobuf.Value: the field numbers of its oneof.
const (
	valueUnset  = 0
	valueNull   = 1 // varint
	valueNumber = 2 // fixed64
	valueString = 3 // bytes
	valueBool   = 4 // varint
	valueStruct = 5 // bytes: google.protobuf.Struct
	valueList   = 6 // bytes: repeated Value values = 1
)

// A value is one google.protobuf.Value, not copied.
type value struct {
	kind protowire.Number
	data []byte
	bits uint64
}

// parseValue reads the encoding of one Value. As everywhere in protobuf, the
// last member of the oneof wins and unknown fields are passed over.
func parseValue(b []byte) (value, error) {
	f := fields{rest: b}
	var v value
	for f.next() {
		want := protowire.BytesType
		switch f.num {
		case valueNull, valueBool:
			want = protowire.VarintType
		case valueNumber:
			want = protowire.Fixed64Type
		case valueString, valueStruct, valueList:
		default:
			continue
		}
		if f.typ != want {
			continue
		}
		if v.kind == f.num && f.num >= valueStruct {
			return v, errWire // a message in two pieces: nobody sends that
		}
		v = value{kind: f.num, data: f.data, bits: f.bits}
	}
	return v, f.err
}

// empty tells whether nothing was sent: no value or NULL.
func (v value) empty() bool { return v.kind == valueUnset || v.kind == valueNull }

func (v value) number() float64 { return math.Float64frombits(v.bits) }

// list walks the elements of a list value; NULL has none.
type list struct {
	rest []byte
	v    value
	err  error
}

// newList fails when v is neither a list nor NULL.
func newList(v value) (list, error) {
	if v.kind == valueList {
		return list{rest: v.data}, nil
	}
	if v.empty() {
		return list{}, nil
	}
	return list{}, errors.New("not a list")
}

// next moves to the next element, into v. What protobuf libraries write, the
// tag of values = 1, a length, and in it the tag of a string or list and a
// length that reaches to the end, is read here; the rest elsewhere.
func (l *list) next() bool {
	b := l.rest
	if len(b) < 4 || b[0] != 1<<3|2 {
		return len(b) > 0 && l.nextSlow()
	}
	if size := int(b[1]); size < 0x80 && size >= 2 && 2+size <= len(b) { // most fields are short
		switch tag := b[2]; {
		case (tag == valueString<<3|2 || tag == valueList<<3|2) && int(b[3]) == size-2:
			l.v.kind, l.v.data = protowire.Number(tag>>3), b[4:2+size]
			l.rest = b[2+size:]
			return true
		case tag == valueBool<<3 && size == 2 && b[3] < 0x80:
			l.v.kind, l.v.data, l.v.bits = valueBool, nil, uint64(b[3])
			l.rest = b[4:]
			return true
		}
	}
	return l.nextLong(b)
}

// nextLong is next for long elements.
func (l *list) nextLong(b []byte) bool {
	size, i := shortVarint(b, 1)
	end := i + size
	if size < 2 || end > len(b) {
		return l.nextSlow()
	}
	kind := b[i] >> 3
	inner, j := shortVarint(b, i+1)
	if b[i] != kind<<3|2 || kind != valueString && kind != valueList || j+inner != end {
		return l.nextSlow()
	}
	l.v.kind, l.v.data = protowire.Number(kind), b[j:end]
	l.rest = b[end:]
	return true
}

// shortVarint reads a varint of at most three bytes at i and returns it and
// the place behind it; a longer one comes out as a length that fits nowhere.
func shortVarint(b []byte, i int) (n, next int) {
	if i+2 >= len(b) {
		if i < len(b) && b[i] < 0x80 {
			return int(b[i]), i + 1
		}
		return len(b) + 1, i
	}
	if b[i] < 0x80 {
		return int(b[i]), i + 1
	}
	if b[i+1] < 0x80 {
		return int(b[i]&0x7f) | int(b[i+1])<<7, i + 2
	}
	if b[i+2] < 0x80 {
		return int(b[i]&0x7f) | int(b[i+1]&0x7f)<<7 | int(b[i+2])<<14, i + 3
	}
	return len(b) + 1, i
}

func (l *list) nextSlow() bool {
	raw, ok := l.nextRaw()
	if ok {
		l.v, l.err = parseValue(raw)
	}
	return ok && l.err == nil
}

// nextRaw moves to the next element and returns its encoding instead.
func (l *list) nextRaw() ([]byte, bool) {
	if l.err != nil {
		return nil, false
	}
	f := fields{rest: l.rest}
	for f.next() {
		l.rest = f.rest
		if f.num == 1 && f.typ == protowire.BytesType {
			return f.data, true
		}
	}
	l.err = f.err
	return nil, false
}

// jsonNull stands where Spanner sent NULL for a JSON value.
var jsonNull = []byte("null")

// text is a string; NULL is empty.
func (v value) text() ([]byte, error) {
	if v.kind == valueString || v.empty() {
		return v.data, nil
	}
	return nil, errors.New("not a string")
}

// integer is an INT64, which comes as a string of digits; NULL is 0.
func (v value) integer() (int64, error) {
	switch {
	case v.kind == valueString:
		return jsonscan.ParseInt(v.data)
	case v.kind == valueNumber && v.number() == math.Trunc(v.number()):
		return int64(v.number()), nil
	case v.empty():
		return 0, nil
	}
	return 0, errors.New("not an integer")
}

// boolean is a BOOL; NULL is false.
func (v value) boolean() (bool, error) {
	if v.kind == valueBool || v.empty() {
		return v.kind == valueBool && v.bits != 0, nil
	}
	return false, errors.New("not a bool")
}

// timestamp is a TIMESTAMP; NULL is the zero time.
func (v value) timestamp() (time.Time, error) {
	if v.empty() {
		return time.Time{}, nil
	}
	b, err := v.text()
	if err != nil {
		return time.Time{}, err
	}
	return ParseTimestamp(b)
}
