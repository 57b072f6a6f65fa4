package h2rpc_test

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"

	"github.com/spancast/spancast/internal/h2rpc"
)

func TestStream_MessagesComeWholeAndInOrder(t *testing.T) {
	sizes := []int{0, 1, 5, 100, 16379, 16380, 16384, 21000, testWindow - 5, testWindow, 3 * testWindow, 5 << 20}
	const rounds = 40
	address := serve(t, func(_ []byte, s grpc.ServerStream) error {
		for n := range rounds * len(sizes) {
			size := sizes[n%len(sizes)]
			if n > 2*len(sizes) {
				size = min(size, 3*testWindow)
			}
			if err := send(s, numbered(uint64(n), size)); err != nil {
				return err
			}
		}
		return nil
	})
	s, err := dial(t, address, nil).Open(limit(t), streamMethod, nil, []byte("?"))
	if err != nil {
		t.Fatal(err)
	}
	var m h2rpc.Message
	for n := range rounds * len(sizes) {
		size := sizes[n%len(sizes)]
		if n > 2*len(sizes) {
			size = min(size, 3*testWindow)
		}
		if err := s.Recv(&m); err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		if err := isNumbered(m.Bytes, uint64(n), size); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Recv(&m); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
