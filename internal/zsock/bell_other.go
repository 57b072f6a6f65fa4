//go:build !linux

package zsock

import (
	"errors"
	"sync"
	"time"

	zmq "github.com/pebbe/zmq4"
)

// A Bell tells when there may be something for the owner of a socket to read: here
// every now and then.
type Bell struct {
	once   sync.Once
	closed chan struct{}
}

// NewBell makes the bell of a socket.
func NewBell(*zmq.Socket) (*Bell, error) { return &Bell{closed: make(chan struct{})}, nil }

// Wait waits a little; it returns an error when the bell was closed.
func (b *Bell) Wait() error {
	select {
	case <-b.closed:
		return errors.New("closed")
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}

// Close ends all waiting.
func (b *Bell) Close() {
	if b != nil {
		b.once.Do(func() { close(b.closed) })
	}
}
