package changestream

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// A frame is the bytes of one PartialResultSet as they came. Its buffer is
// borrowed from a pool when a message arrives and given back by release, so
// that a partition that waits holds none.
type frame struct {
	b    []byte
	pool *sync.Pool
	held *[]byte
}

// release gives the buffer back; b is not to be used any more.
func (f *frame) release() {
	if f.held != nil && cap(*f.held) <= maxPooled {
		f.pool.Put(f.held)
	}
	f.b, f.held = nil, nil
}

// maxPooled is the size of buffers, in bytes, beyond which they are left to the
// garbage collector: few frames are that large.
const maxPooled = 4 << 20

// rawCodec sends protobuf messages and receives frames. gRPC's own buffers are
// copied from: keeping them would tie up its pool, whose large ones it clears
// each time.
type rawCodec struct{ buffers *sync.Pool }

// Name is that of the protobuf codec, for which it stands in on the wire.
func (rawCodec) Name() string { return "proto" }

// Marshal encodes a protobuf message.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	b, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

// Unmarshal copies the message into a frame.
func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("cannot receive into a %T", v)
	}
	f.release()
	f.pool, f.held = c.buffers, c.buffers.Get().(*[]byte)
	if n := data.Len(); cap(*f.held) < n {
		*f.held = make([]byte, n+n/4)
	}
	f.b = (*f.held)[:data.Len()]
	data.CopyTo(f.b)
	return nil
}
