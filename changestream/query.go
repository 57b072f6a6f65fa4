package changestream

import (
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// A query is one bounded read of a partition, or of the stream's root when the
// token is empty: what happened from start to end, both included.
type query struct {
	token      PartitionToken
	start, end time.Time
	silences   int // how often Spanner was silent before
}

// request builds the call of the stream's read function.
//
//	GoogleSQL:  SELECT ChangeRecord FROM READ_<stream>(@start_timestamp, …)
//	PostgreSQL: SELECT * FROM spanner.read_json_<stream>($1, …), read_proto_bytes_<stream> when mutable
//
// with start_timestamp, end_timestamp, partition_token, heartbeat_milliseconds
// and a NULL for read_options. It must be a single-use strong read.
func (info Info) request(session string, q query, heartbeat time.Duration) *spannerpb.ExecuteSqlRequest {
	names := [...]string{"start_timestamp", "end_timestamp", "partition_token", "heartbeat_milliseconds"}
	sql := "SELECT ChangeRecord FROM `READ_" + strings.ReplaceAll(info.Stream, "`", "") +
		"`(@start_timestamp, @end_timestamp, @partition_token, @heartbeat_milliseconds)"
	if info.Dialect == PostgreSQL {
		names = [...]string{"p1", "p2", "p3", "p4"}
		function := "read_json_"
		if info.MutableKeyRange {
			function = "read_proto_bytes_"
		}
		sql = `SELECT * FROM spanner."` + function + strings.ReplaceAll(info.Stream, `"`, `""`) + `"($1, $2, $3, $4, null)`
	}
	token := structpb.NewNullValue()
	if q.token != "" {
		token = structpb.NewStringValue(string(q.token))
	}
	stamp := func(t time.Time) *structpb.Value { return structpb.NewStringValue(t.UTC().Format(time.RFC3339Nano)) }
	return &spannerpb.ExecuteSqlRequest{
		Session: session,
		Sql:     sql,
		Params: &structpb.Struct{Fields: map[string]*structpb.Value{
			names[0]: stamp(q.start), names[1]: stamp(q.end), names[2]: token,
			names[3]: structpb.NewStringValue(strconv.FormatInt(heartbeat.Milliseconds(), 10)),
		}},
		ParamTypes: map[string]*spannerpb.Type{
			names[0]: {Code: spannerpb.TypeCode_TIMESTAMP}, names[1]: {Code: spannerpb.TypeCode_TIMESTAMP},
			names[2]: {Code: spannerpb.TypeCode_STRING}, names[3]: {Code: spannerpb.TypeCode_INT64},
		},
		Transaction: &spannerpb.TransactionSelector{Selector: &spannerpb.TransactionSelector_SingleUse{SingleUse: &spannerpb.TransactionOptions{
			Mode: &spannerpb.TransactionOptions_ReadOnly_{ReadOnly: &spannerpb.TransactionOptions_ReadOnly{
				TimestampBound: &spannerpb.TransactionOptions_ReadOnly_Strong{Strong: true},
			}},
		}}},
		RequestOptions: &spannerpb.RequestOptions{RequestTag: "spancast-read"},
	}
}
