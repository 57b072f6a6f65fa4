package server

import (
	"context"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that rawCodec falls back on
	"google.golang.org/grpc/mem"
)

// frame is a PartialResultSet that is already encoded, in pieces that are sent
// without being copied together:
//
//	head    metadata = 1 (first frame only)
//	values  values = 2, …
//	tail    resume_token = 4
type frame struct{ head, values, tail []byte }

// rawCodec is gRPC's protobuf codec that also sends frames.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return encoding.GetCodecV2("proto").Marshal(v)
	}
	var out mem.BufferSlice
	for _, part := range [][]byte{f.head, f.values, f.tail} {
		if len(part) > 0 {
			out = append(out, mem.SliceBuffer(part))
		}
	}
	return out, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return encoding.GetCodecV2("proto").Unmarshal(data, v)
}

// parts is a stream of PartialResultSets, whichever RPC it belongs to.
type parts interface {
	Send(*sppb.PartialResultSet) error
	SendMsg(m any) error
	Context() context.Context
}
