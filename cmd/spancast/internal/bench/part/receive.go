package part

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// target is the embedded Spanner.
func (q *Request) target() config.Target {
	return config.Target{Database: config.Database(q.Database), Endpoint: q.Address, PlainText: true}
}

// receiving is grpc-go with nothing around it: frames are received, with windows like
// those of the record path, and only their rows are counted.
type receiving struct {
	q              *Request
	records, bytes atomic.Uint64
}

func (r *receiving) status(out *Status) {
	out.Messages, out.Bytes = r.records.Load(), r.bytes.Load()
}

func (r *receiving) run(ctx context.Context) error {
	const window = 256 << 10
	conn, err := grpc.NewClient("passthrough:///"+r.q.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(16*window), grpc.WithReadBufferSize(window))
	if err != nil {
		return err
	}
	defer conn.Close()
	session, err := spannerpb.NewSpannerClient(conn).CreateSession(ctx, &spannerpb.CreateSessionRequest{Database: r.q.Database, Session: &spannerpb.Session{Multiplexed: true}})
	if err != nil {
		return err
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/google.spanner.v1.Spanner/ExecuteStreamingSql", grpc.ForceCodecV2(counting{}))
	if err != nil {
		return err
	}
	sql := fmt.Sprintf("SELECT ChangeRecord FROM READ_%s('%s', NULL, '%s', 300000)", r.q.Stream, r.q.Since.UTC().Format(time.RFC3339Nano), r.q.Tokens[0])
	if err := errors.Join(stream.SendMsg(&spannerpb.ExecuteSqlRequest{Session: session.GetName(), Sql: sql}), stream.CloseSend()); err != nil {
		return err
	}
	var f counted
	for {
		if err := stream.RecvMsg(&f); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		r.records.Add(f.rows)
		r.bytes.Add(uint64(len(f.b)))
	}
}

// counted is a frame, of which only the rows are counted.
type counted struct {
	b    []byte
	rows uint64
}

// counting copies frames into memory that it has, as Spancast does.
type counting struct{}

func (counting) Name() string { return "proto" }

func (counting) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	b, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (counting) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*counted)
	if !ok {
		return fmt.Errorf("cannot receive into a %T", v)
	}
	if n := data.Len(); cap(f.b) < n {
		f.b = make([]byte, n+n/4)
	}
	f.b = f.b[:data.Len()]
	data.CopyTo(f.b)
	f.rows = 0
	for rest := f.b; len(rest) > 0; {
		num, kind, n := protowire.ConsumeTag(rest)
		size := protowire.ConsumeFieldValue(num, kind, rest[max(n, 0):])
		if n < 0 || size < 0 {
			return errors.New("malformed protobuf")
		}
		if num == 2 {
			f.rows++
		}
		rest = rest[n+size:]
	}
	return nil
}
