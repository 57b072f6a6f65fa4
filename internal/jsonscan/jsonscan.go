// Package jsonscan finds its way through JSON text without decoding it: it
// yields the members of an object and the elements of an array as pieces of the
// text they stand in. It checks no more than is needed to tell where a value
// ends, so it is for text that comes from Spanner; on other text it returns
// errors or nonsense, but never panics.
package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// ErrMalformed is returned for text whose values cannot be told apart.
var ErrMalformed = errors.New("malformed JSON")

// Members walks the members of one object.
//
//	m, err := jsonscan.Object(text)
//	for err == nil && m.Next() {
//		… m.Key, m.Value
//	}
//	err = errors.Join(err, m.Err)
type Members struct {
	Key   []byte // without quotes, unescaped; valid until Next
	Value []byte // the text of the value, a piece of the object's
	Err   error  // why Next returned false before the end

	walk
}

// Elements walks the elements of one array, as Members does.
type Elements struct {
	Value []byte
	Err   error

	walk
}

// walk is a place in the text of an object or array whose brackets are off.
type walk struct {
	b       []byte
	i       int
	started bool
}

// Object begins to walk an object; null has no members.
func Object(b []byte) (Members, error) {
	b = trim(b)
	if string(b) == "null" {
		return Members{}, nil
	}
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return Members{}, ErrMalformed
	}
	return Members{walk: walk{b: b[:len(b)-1], i: 1}}, nil
}

// Array begins to walk an array. Nothing and null have no elements, and an
// object stands for an array of it.
func Array(b []byte) (Elements, error) {
	b = trim(b)
	switch {
	case len(b) == 0 || string(b) == "null":
		return Elements{}, nil
	case b[0] == '{':
		return Elements{walk: walk{b: b}}, nil
	case len(b) >= 2 && b[0] == '[' && b[len(b)-1] == ']':
		return Elements{walk: walk{b: b[:len(b)-1], i: 1}}, nil
	}
	return Elements{}, ErrMalformed
}

// Next moves to the next member; false at the end and on an error.
func (m *Members) Next() bool {
	if m.Err != nil || !m.separator(&m.Err) {
		return false
	}
	end := skip(m.b, m.i)
	if end < 0 || m.b[m.i] != '"' {
		m.Err = ErrMalformed
		return false
	}
	if m.Key, m.Err = Text(m.b[m.i:end]); m.Err != nil {
		return false
	}
	m.i = skipSpace(m.b, end)
	if m.i >= len(m.b) || m.b[m.i] != ':' {
		m.Err = ErrMalformed
		return false
	}
	m.i = skipSpace(m.b, m.i+1)
	m.Value, m.Err = m.value()
	return m.Err == nil
}

// Next moves to the next element; false at the end and on an error.
func (e *Elements) Next() bool {
	if e.Err != nil || !e.separator(&e.Err) {
		return false
	}
	e.Value, e.Err = e.value()
	return e.Err == nil
}

// separator moves to where the next member or element begins.
func (w *walk) separator(err *error) bool {
	w.i = skipSpace(w.b, w.i)
	if w.i >= len(w.b) {
		return false
	}
	if w.started {
		if w.b[w.i] == ',' {
			w.i = skipSpace(w.b, w.i+1)
		} else {
			w.i = len(w.b)
		}
		if w.i >= len(w.b) {
			*err = ErrMalformed
			return false
		}
	}
	w.started = true
	return true
}

func (w *walk) value() ([]byte, error) {
	end := skip(w.b, w.i)
	if end < 0 {
		return nil, ErrMalformed
	}
	v := w.b[w.i:end]
	w.i = end
	return v, nil
}

func trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns the end of the value that begins at i, or -1.
func skip(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// skipString returns the place behind the string that begins at i, or -1.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		back := 0
		for b[i-1-back] == '\\' { // ends at the opening quote at the latest
			back++
		}
		if back%2 == 0 {
			return i + 1
		}
	}
	return -1
}

func skipNested(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// Text returns what a JSON string says, a piece of b unless it has escapes;
// null says nothing.
func Text(b []byte) ([]byte, error) {
	if string(b) == "null" {
		return nil, nil
	}
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return nil, ErrMalformed
	}
	if inner := b[1 : len(b)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, ErrMalformed
	}
	return []byte(s), nil
}

// Int reads an integer that is a JSON number or a string of digits.
func Int(b []byte) (int64, error) {
	if len(b) >= 2 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	return ParseInt(b)
}

// ParseInt is strconv.ParseInt to the base of ten, for bytes.
func ParseInt(b []byte) (int64, error) {
	if len(b) == 0 || len(b) > 18 { // more may overflow
		return strconv.ParseInt(string(b), 10, 64)
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return strconv.ParseInt(string(b), 10, 64)
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string.
func AppendString[T []byte | string](dst []byte, s T) []byte {
	dst = append(dst, '"')
	plain := 0 // start of what needs no escape
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[plain:]...), '"')
}
