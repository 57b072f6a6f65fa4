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
	text   []byte
	missed int // looks in a row at which it could not be read, or was empty
}

// patience is how many looks a file that was there may be gone or empty before
// that is an error: the next start would fail, or do something else.
const patience = 5

// Open reads a file. Errors begin with what is in it.
func Open[T any](path, what string, parse func(text string) (T, error)) (*File[T], T, error) {
	f := &File[T]{path: path, what: what, parse: parse}
	v, _, err := f.Reread()
	return f, v, err
}

// Reread returns what the file holds if it is not as it was, or what is wrong
// with it: that is a change too. A file that was there and is gone, or empty, has
// not changed: it is being replaced, or written anew. If that takes long it is an
// error, once.
func (f *File[T]) Reread() (v T, changed bool, err error) {
	text, err := os.ReadFile(f.path)
	if err == nil && f.text != nil && len(bytes.TrimSpace(text)) == 0 && len(bytes.TrimSpace(f.text)) > 0 {
		err = errEmpty
	}
	if err == nil {
		f.missed = 0
		if f.text != nil && bytes.Equal(text, f.text) {
			return v, false, nil
		}
		f.text = append([]byte{}, text...) // not nil
		v, err = f.parse(string(text))
	} else if f.missed++; f.text != nil && f.missed != patience {
		return v, false, nil
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", f.what, f.path, err)
	}
	return v, true, err
}

var errEmpty = errors.New("is empty, so that what was there before stays in force")
