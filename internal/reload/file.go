// Package reload reads files that may change while the service runs.
package reload

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// A File holds a T as text, and may change. The content is compared, not the
// file's times: files that come from a Kubernetes volume change by a link. It is
// for one goroutine.
type File[T any] struct {
	path   string
	what   string // for errors
	parse  func(text string) (T, error)
	text   []byte // that counts; nil before there is one
	next   []byte // that was there at the last look, and is yet to be so at another; nil if there is none
	missed int    // looks in a row at which it could not be read, was empty, or not as before
}

// patience is how many looks a file that was there may be gone, empty or another
// each time before that is an error: the next start would fail, or do something
// else.
const patience = 10

// Open reads a file. Errors begin with what is in it.
func Open[T any](path, what string, parse func(text string) (T, error)) (*File[T], T, error) {
	f := &File[T]{path: path, what: what, parse: parse}
	v, _, err := f.Reread()
	return f, v, err
}

// Reread returns what the file holds if it is not as it was, or what is wrong
// with it: that is a change too. What is new counts when it is the same at two
// looks in a row: some of a file that is being written may make sense by itself.
// A file that was there and is gone, or empty, has not changed: it is being
// replaced, or written anew. If that takes long it is an error, once.
func (f *File[T]) Reread() (v T, changed bool, err error) {
	text, err := f.read()
	switch {
	case err == nil && f.text != nil && bytes.Equal(text, f.text):
		f.missed = 0
		return v, false, nil
	case err == nil:
		f.missed, f.text = 0, append([]byte{}, text...) // not nil
		v, err = f.parse(string(text))
	default:
		if f.missed++; f.text != nil && f.missed != patience {
			return v, false, nil
		}
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", f.what, f.path, err)
	}
	return v, true, err
}

var (
	errEmpty    = errors.New("is empty, so that what was there before stays in force")
	errRestless = errors.New("is another at every look, so that what was there before stays in force")
)

// read returns what the file holds, unless it may not count yet.
func (f *File[T]) read() (text []byte, err error) {
	before := f.next
	f.next = nil
	if text, err = os.ReadFile(f.path); err != nil || f.text == nil || bytes.Equal(text, f.text) {
		return text, err
	}
	if len(bytes.TrimSpace(text)) == 0 && len(bytes.TrimSpace(f.text)) > 0 {
		return nil, errEmpty
	}
	if before == nil || !bytes.Equal(text, before) {
		f.next = append([]byte{}, text...)
		return nil, errRestless
	}
	return text, nil
}
