package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"
)

// Stream names a change stream.
type Stream struct {
	Database string // projects/P/instances/I/databases/D
	Name     string
	Dialect  Dialect
}

// Query is one change stream query.
type Query struct {
	Stream
	Start     time.Time
	End       time.Time     // zero: NULL
	Token     string        // empty: NULL, the initial query
	Heartbeat time.Duration // 0: five minutes
}

// Row is one record of a change stream; one member is set.
type Row struct {
	Data      *Record
	Heartbeat time.Time
	Child     *ChildPartitions
}

// ChildPartitions is a child_partitions_record.
type ChildPartitions struct {
	Start      time.Time
	Sequence   string
	Partitions []Partition
}

// Partition is one child in it.
type Partition struct {
	Token   string
	Parents []string
}

// RunQuery runs q over the raw stub and hands each row to each, in order. It
// ends with the query or with the error of each.
func RunQuery(ctx context.Context, conn grpc.ClientConnInterface, q Query, each func(Row) error) error {
	request, err := streamRequest(ctx, conn, q)
	if err != nil {
		return err
	}
	return execute(ctx, conn, request, func(fields []*sppb.StructType_Field, row []*structpb.Value) error {
		if len(row) != 1 {
			return fmt.Errorf("a row of %d columns", len(row))
		}
		records, err := decodeRow(fields[0].Type, row[0])
		if err != nil {
			return err
		}
		for _, record := range records {
			if err := each(record); err != nil {
				return err
			}
		}
		return nil
	})
}

// rows collects all rows of a query.
func rows(ctx context.Context, conn grpc.ClientConnInterface, q Query) ([]Row, error) {
	var out []Row
	err := RunQuery(ctx, conn, q, func(r Row) error {
		out = append(out, r)
		return nil
	})
	return out, err
}

// streamRequest is the request of q in a session of its own.
func streamRequest(ctx context.Context, conn grpc.ClientConnInterface, q Query) (*sppb.ExecuteSqlRequest, error) {
	session, err := sppb.NewSpannerClient(conn).CreateSession(outgoing(ctx, q.Database), &sppb.CreateSessionRequest{Database: q.Database})
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	timestamp := func(t time.Time) *structpb.Value {
		if t.IsZero() {
			return structpb.NewNullValue()
		}
		return structpb.NewStringValue(t.UTC().Format(time.RFC3339Nano))
	}
	token := structpb.NewNullValue()
	if q.Token != "" {
		token = structpb.NewStringValue(q.Token)
	}
	if q.Heartbeat == 0 {
		q.Heartbeat = 5 * time.Minute
	}
	values := []*structpb.Value{timestamp(q.Start), timestamp(q.End), token, structpb.NewStringValue(strconv.FormatInt(q.Heartbeat.Milliseconds(), 10))}
	codes := []sppb.TypeCode{sppb.TypeCode_TIMESTAMP, sppb.TypeCode_TIMESTAMP, sppb.TypeCode_STRING, sppb.TypeCode_INT64}
	names := []string{"start_timestamp", "end_timestamp", "partition_token", "heartbeat_milliseconds"}
	sql := "SELECT ChangeRecord FROM READ_" + q.Name + "(@start_timestamp, @end_timestamp, @partition_token, @heartbeat_milliseconds)"
	if q.Dialect == PostgreSQL {
		sql = `SELECT * FROM spanner."read_json_` + q.Name + `"($1, $2, $3, $4, null)`
		names = []string{"p1", "p2", "p3", "p4"}
	}
	request := &sppb.ExecuteSqlRequest{Session: session.Name, Sql: sql, Params: &structpb.Struct{Fields: map[string]*structpb.Value{}}, ParamTypes: map[string]*sppb.Type{}}
	for i, name := range names {
		request.Params.Fields[name] = values[i]
		request.ParamTypes[name] = &sppb.Type{Code: codes[i]}
	}
	return request, nil
}

// outgoing adds the header that routes a request to its database.
func outgoing(ctx context.Context, database string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", database)
}

// execute runs a streaming query and hands on whole rows, putting together
// the values that the server cut.
func execute(ctx context.Context, conn grpc.ClientConnInterface, request *sppb.ExecuteSqlRequest,
	each func([]*sppb.StructType_Field, []*structpb.Value) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := sppb.NewSpannerClient(conn).ExecuteStreamingSql(ctx, request)
	if err != nil {
		return err
	}
	var fields []*sppb.StructType_Field
	var pending []*structpb.Value
	chunked := false
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if part.Metadata != nil {
			fields = part.Metadata.GetRowType().GetFields()
		}
		values := part.Values
		if chunked && len(values) > 0 {
			pending[len(pending)-1] = merge(pending[len(pending)-1], values[0])
			values = values[1:]
		}
		pending = append(pending, values...)
		chunked = part.ChunkedValue
		for len(fields) > 0 && (len(pending) > len(fields) || len(pending) == len(fields) && !chunked) {
			if err := each(fields, pending[:len(fields)]); err != nil {
				return err
			}
			pending = pending[len(fields):]
		}
	}
}

// merge joins the two parts of a cut value: strings are concatenated, lists
// joined with their touching elements merged when those can be cut themselves.
func merge(a, b *structpb.Value) *structpb.Value {
	if s, ok := a.Kind.(*structpb.Value_StringValue); ok {
		return structpb.NewStringValue(s.StringValue + b.GetStringValue())
	}
	left, right := a.GetListValue().GetValues(), b.GetListValue().GetValues()
	if len(left) > 0 && len(right) > 0 && sameCuttableKind(left[len(left)-1], right[0]) {
		left[len(left)-1] = merge(left[len(left)-1], right[0])
		right = right[1:]
	}
	return structpb.NewListValue(&structpb.ListValue{Values: append(left, right...)})
}

func sameCuttableKind(a, b *structpb.Value) bool {
	switch a.Kind.(type) {
	case *structpb.Value_StringValue:
		_, ok := b.Kind.(*structpb.Value_StringValue)
		return ok
	case *structpb.Value_ListValue:
		_, ok := b.Kind.(*structpb.Value_ListValue)
		return ok
	}
	return false
}
