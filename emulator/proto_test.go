package emulator_test

import (
	"encoding/base64"
	"errors"
	"io"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that countingCodec falls back on
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator"
)

// readProto reads a stream in mutable mode over the raw API.
func (f *fixture) readProto(t testing.TB, token string, from, to time.Time, each func(*sppb.ChangeStreamRecord)) error {
	str := func(s string) *structpb.Value {
		if s == "" {
			return structpb.NewNullValue()
		}
		return structpb.NewStringValue(s)
	}
	end := ""
	if !to.IsZero() {
		end = to.UTC().Format(time.RFC3339Nano)
	}
	r := &sppb.ExecuteSqlRequest{Session: database + "/sessions/any", Sql: "SELECT ChangeRecord FROM READ_S(@p1, @p2, @p3, @p4)",
		Params:     &structpb.Struct{Fields: map[string]*structpb.Value{"p1": str(from.UTC().Format(time.RFC3339Nano)), "p2": str(end), "p3": str(token), "p4": str("10000")}},
		ParamTypes: map[string]*sppb.Type{"p1": {Code: sppb.TypeCode_TIMESTAMP}, "p2": {Code: sppb.TypeCode_TIMESTAMP}, "p3": {Code: sppb.TypeCode_STRING}, "p4": {Code: sppb.TypeCode_INT64}}}
	if f.dialect == emulator.PostgreSQL {
		r.Sql = `SELECT * FROM spanner."read_proto_bytes_S"($1, $2, $3, $4, null)`
	}
	stream, err := sppb.NewSpannerClient(f.conn).ExecuteStreamingSql(limit(t), r)
	if err != nil {
		return err
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, v := range part.Values {
			raw, err := base64.StdEncoding.DecodeString(v.GetStringValue())
			if err != nil {
				return err
			}
			record := &sppb.ChangeStreamRecord{}
			if err := proto.Unmarshal(raw, record); err != nil {
				return err
			}
			each(record)
		}
	}
}

// records collects all but heartbeats.
func (f *fixture) records(t testing.TB, token string, from, to time.Time) []*sppb.ChangeStreamRecord {
	t.Helper()
	var out []*sppb.ChangeStreamRecord
	err := f.readProto(t, token, from, to, func(r *sppb.ChangeStreamRecord) {
		if r.GetHeartbeatRecord() == nil {
			out = append(out, r)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// alter runs DDL.
func (f *fixture) alter(t testing.TB, ddl ...string) {
	t.Helper()
	if _, err := databasepb.NewDatabaseAdminClient(f.conn).UpdateDatabaseDdl(limit(t), &databasepb.UpdateDatabaseDdlRequest{Database: database, Statements: ddl}); err != nil {
		t.Fatal(err)
	}
}

func protoCodec() encoding.CodecV2 { return encoding.GetCodecV2("proto") }
