package server

import (
	"context"
	"errors"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/fault"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// readStream answers a change stream query.
func (s *spannerService) readStream(c *call, r *sppb.ExecuteSqlRequest, stream parts) error {
	if c.query.Heartbeat < s.config.MinHeartbeat {
		return grpcstatus.Errorf(codes.OutOfRange, "Specified heartbeat_milliseconds must be at least %d.", s.config.MinHeartbeat.Milliseconds())
	}
	metadata := &sppb.ResultSetMetadata{RowType: rowType([]value.Field{{Name: c.name, Type: c.columnType()}})}
	metadata.RowType.Fields[0].Type = c.columnProto()
	if r.GetTransaction().GetSingleUse().GetReadOnly().GetReturnReadTimestamp() {
		metadata.Transaction = &sppb.Transaction{ReadTimestamp: timestamppb.New(farFuture())}
	}
	first, err := head(metadata)
	if err != nil {
		return err
	}
	f := &frames{ctx: stream.Context(), faults: s.config.Faults, stream: stream, head: first, limit: s.chunkSize()}
	if s.config.Faults.Get().Fail != codes.OK && s.config.Faults.Get().FailAfter <= 0 {
		return f.failure()
	}
	err = c.stream.Read(stream.Context(), c.query, c.db.Database, func() changes.Shape { return s.config.Faults.Get().Shape() }, f.send)
	if errors.Is(err, errEarlyEnd) {
		return nil
	}
	return err
}

// farFuture is the read timestamp of change stream queries. Spanner too returns
// one from beyond all commits; it means nothing.
func farFuture() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC) }

// columnType is the type of the one column, PROTO aside.
func (c *call) columnType() *value.Type {
	if c.db.Schema().Dialect == schema.PostgreSQL {
		return value.PGJSONB
	}
	return value.ArrayOf(recordType())
}

func (c *call) columnProto() *sppb.Type {
	if !c.stream.Definition().Mutable() {
		return c.columnType().Proto()
	}
	if c.db.Schema().Dialect == schema.PostgreSQL {
		return &sppb.Type{Code: sppb.TypeCode_BYTES}
	}
	return &sppb.Type{Code: sppb.TypeCode_PROTO, ProtoTypeFqn: "google.spanner.v1.ChangeStreamRecord"}
}

func structOf(fields ...value.Field) *value.Type {
	return &value.Type{Code: sppb.TypeCode_STRUCT, Fields: fields}
}

func field(name string, t *value.Type) value.Field { return value.Field{Name: name, Type: t} }

// recordType is the STRUCT of an immutable stream's rows in GoogleSQL.
func recordType() *value.Type {
	str, num, flag, ts, js := value.String, value.Int64, value.Bool, value.Timestamp, value.JSONType
	column := structOf(field("name", str), field("type", js), field("is_primary_key", flag), field("ordinal_position", num))
	mod := structOf(field("keys", js), field("new_values", js), field("old_values", js))
	data := structOf(field("commit_timestamp", ts), field("record_sequence", str), field("server_transaction_id", str),
		field("is_last_record_in_transaction_in_partition", flag), field("table_name", str), field("column_types", value.ArrayOf(column)),
		field("mods", value.ArrayOf(mod)), field("mod_type", str), field("value_capture_type", str), field("number_of_records_in_transaction", num),
		field("number_of_partitions_in_transaction", num), field("transaction_tag", str), field("is_system_transaction", flag))
	child := structOf(field("token", str), field("parent_partition_tokens", value.ArrayOf(str)))
	children := structOf(field("start_timestamp", ts), field("record_sequence", str), field("child_partitions", value.ArrayOf(child)))
	return structOf(field("data_change_record", value.ArrayOf(data)), field("heartbeat_record", value.ArrayOf(structOf(field("timestamp", ts)))),
		field("child_partitions_record", value.ArrayOf(children)))
}

// frames sends the frames of one change stream query, with the faults asked for.
type frames struct {
	ctx    context.Context
	faults *fault.Switch
	stream parts
	head   []byte // metadata, until the first frame is sent
	limit  int
	sent   int
}

// errEarlyEnd ends a query as if it had come to its end.
var errEarlyEnd = errors.New("the emulator was asked to end queries early")

func (f *frames) failure() error {
	return grpcstatus.Errorf(f.faults.Get().Fail, "The emulator was asked to fail after %d frames.", f.faults.Get().FailAfter)
}

func (f *frames) send(values []byte, _ int, resume string) error {
	faults := f.faults.Get()
	if err := pause(f.ctx, faults.FrameDelay); err != nil {
		return err
	}
	if faults.ConstantResumeTokens {
		resume = "constant"
	}
	out := &frame{head: f.head, values: values}
	if !faults.NoResumeTokens {
		out.tail = tail(resume)
	}
	f.head = nil
	if len(values) > f.limit {
		if err := f.sendCut(out); err != nil {
			return err
		}
	} else if err := f.stream.SendMsg(out); err != nil {
		return err
	}
	if f.sent++; faults.Fail != codes.OK && f.sent >= faults.FailAfter {
		return f.failure()
	}
	if faults.EndAfter > 0 && f.sent >= faults.EndAfter {
		return errEarlyEnd
	}
	return nil
}

// sendCut sends a frame that is too long for one message.
func (f *frames) sendCut(out *frame) error {
	part := &sppb.PartialResultSet{}
	for _, data := range [][]byte{out.head, out.values, out.tail} {
		if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(data, part); err != nil {
			return err
		}
	}
	return sendChunks(f.stream, part, f.limit)
}
