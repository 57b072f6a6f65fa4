package h2rpc_test

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// words are what a server says, as bytes: right or wrong.
type words struct {
	bytes.Buffer
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	spent   func(id uint32, n int)    // told of DATA; nil: nobody is
	asked   func(all []http2.Setting) // told of SETTINGS
}

func newWords() *words {
	w := &words{}
	w.Framer = http2.NewFramer(&w.Buffer, nil)
	w.AllowIllegalWrites = true
	w.encoder = hpack.NewEncoder(&w.block)
	return w
}

// fields is a header block of names and values in turn. It must be said, since what
// follows may refer to it.
func (w *words) fields(pairs ...string) []byte {
	w.block.Reset()
	for ; len(pairs) > 1; pairs = pairs[2:] {
		w.encoder.WriteField(hpack.HeaderField{Name: pairs[0], Value: pairs[1]})
	}
	return bytes.Clone(w.block.Bytes())
}

func (w *words) headers(id uint32, end bool, pairs ...string) {
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: w.fields(pairs...), EndStream: end, EndHeaders: true})
}

// split says headers in frames of at most n bytes.
func (w *words) split(id uint32, end bool, n int, pairs ...string) {
	block := w.fields(pairs...)
	first := min(n, len(block))
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:first], EndStream: end})
	for block = block[first:]; len(block) > n; block = block[n:] {
		w.WriteContinuation(id, false, block[:n])
	}
	w.WriteContinuation(id, true, block)
}

// begin says that messages follow, end that there are no more.
func (w *words) begin(id uint32) {
	w.headers(id, false, ":status", "200", "content-type", "application/grpc")
}

func (w *words) end(id uint32) { w.headers(id, true, "grpc-status", "0", "grpc-message", "") }

func (w *words) data(id uint32, end bool, b []byte) {
	w.WriteData(id, end, b)
	w.spend(id, len(b))
}

func (w *words) padded(id uint32, b []byte, padding int) {
	w.WriteDataPadded(id, false, b, make([]byte, padding))
	w.spend(id, len(b)+1+padding)
}

func (w *words) spend(id uint32, n int) {
	if w.spent != nil {
		w.spent(id, n)
	}
}

func (w *words) settings(all ...http2.Setting) {
	w.WriteSettings(all...)
	if w.asked != nil {
		w.asked(all)
	}
}

// messages says messages in one frame.
func (w *words) messages(id uint32, all ...string) { w.data(id, false, framed(all...)) }

// raw says a frame of a kind.
func (w *words) raw(kind http2.FrameType, flags http2.Flags, id uint32, content string) {
	w.WriteRawFrame(kind, flags, id, []byte(content))
}

// framed are messages as gRPC sends them.
func framed(all ...string) []byte {
	var b []byte
	for _, m := range all {
		b = append(binary.BigEndian.AppendUint32(append(b, 0), uint32(len(m))), m...)
	}
	return b
}
