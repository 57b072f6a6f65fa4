package h2rpc_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/spancast/spancast/internal/h2rpc"
)

const (
	streamMethod = "/test.Stream/Run"
	testWindow   = 64 << 10
)

// raw is a codec for messages that are bytes.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// serve starts grpc-go's server with one method and returns its address.
func serve(t testing.TB, run func(request []byte, s grpc.ServerStream) error, o ...grpc.ServerOption) string {
	t.Helper()
	return serveAs(t, make(chan *grpc.Server, 1), run, o...)
}

// serveAs is serve that hands out the server.
func serveAs(t testing.TB, server chan<- *grpc.Server, run func(request []byte, s grpc.ServerStream) error, o ...grpc.ServerOption) string {
	t.Helper()
	g := grpc.NewServer(append(o, grpc.ForceServerCodecV2(raw{}), grpc.WaitForHandlers(true))...)
	g.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Stream", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "Run", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			var request []byte
			if err := s.RecvMsg(&request); err != nil {
				return err
			}
			return run(request, s)
		},
	}}}, nil)
	server <- g
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// dial connects; a nil c means without TLS.
func dial(t testing.TB, address string, c *tls.Config, changes ...func(*h2rpc.Options)) *h2rpc.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	o := h2rpc.Options{Scheme: "http", Authority: address, UserAgent: "test", Streams: 8, Window: testWindow, ConnWindow: 1 << 20, MaxMessage: 64 << 20}
	if c != nil {
		nc, o.Scheme = tls.Client(nc, c), "https"
	}
	for _, change := range changes {
		change(&o)
	}
	conn, err := h2rpc.New(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// numbered is a message that says which one it is.
func numbered(n uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(uint64(i) * (n + 1))
	}
	if size >= 8 {
		binary.BigEndian.PutUint64(b, n)
	}
	return b
}

func send(s grpc.ServerStream, b []byte) error { return s.SendMsg(&b) }

func isNumbered(b []byte, n uint64, size int) error {
	want := numbered(n, size)
	if string(b) != string(want) {
		return fmt.Errorf("message %d: %d bytes, not the %d that were sent", n, len(b), size)
	}
	return nil
}
