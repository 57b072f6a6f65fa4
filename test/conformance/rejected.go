package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

func clientQuery(s Stream, start time.Time, token string) spanner.Statement {
	return spanner.Statement{SQL: "SELECT ChangeRecord FROM READ_" + s.Name + "(@start, NULL, @token, 300000)",
		Params: map[string]any{"start": start, "token": token}}
}

// rejection is one request that must be answered with code and a message that
// contains says.
type rejection struct {
	id   int
	name string
	sql  Text
	code codes.Code
	says string
}

// RunRejected is section J.
func RunRejected(t *testing.T, server Server) {
	runAPI(t, server, []apiCase{
		{118, "BadArguments", both(), rejectedSQL},
		{129, "TransactionsAndRPCs", both(), rejectedTransactions},
		{134, "AcceptedSpellings", both(), acceptedSpellings},
	})
}

func at(t time.Time) string { return "'" + t.UTC().Format("2006-01-02T15:04:05.999999Z") + "'" }

// call spells the read function with arguments given as SQL text.
func call(args string) Text {
	return Text{GoogleSQL: "SELECT ChangeRecord FROM READ_test_stream(" + args + ")", PostgreSQL: "SELECT * FROM spanner.read_json_test_stream(" + args + ")"}
}

func rejections(start time.Time) []rejection {
	good := at(start)
	around := func(g, p string) Text {
		c := call(good + ", NULL, NULL, 10000")
		return Text{GoogleSQL: strings.ReplaceAll(g, "CALL", strings.TrimPrefix(c[GoogleSQL], "SELECT ChangeRecord FROM ")),
			PostgreSQL: strings.ReplaceAll(p, "CALL", strings.TrimPrefix(c[PostgreSQL], "SELECT * FROM "))}
	}
	combined := func(id int, name, tail string) rejection {
		return rejection{id, name, around("SELECT ChangeRecord FROM CALL "+tail, "SELECT * FROM CALL "+tail), codes.Unimplemented, ""}
	}
	return []rejection{
		{118, "StartIsNull", call("NULL, NULL, NULL, 10000"), codes.InvalidArgument, "start_timestamp"},
		{119, "StartTooLate", call(at(time.Now().Add(11*time.Minute)) + ", NULL, NULL, 10000"), codes.OutOfRange, "too far in the future"},
		{120, "StartTooEarly", call(at(start.Add(-time.Hour)) + ", NULL, NULL, 10000"), codes.OutOfRange, "too far in the past"},
		{121, "EndBeforeStart", call(good + ", " + at(start.Add(-time.Second)) + ", NULL, 10000"), codes.InvalidArgument, ""},
		{122, "HeartbeatIsNull", call(good + ", NULL, NULL, NULL"), codes.InvalidArgument, "heartbeat"},
		{122, "HeartbeatTooShort", call(good + ", NULL, NULL, 99"), codes.OutOfRange, "heartbeat"},
		{122, "HeartbeatTooLong", call(good + ", NULL, NULL, 300001"), codes.OutOfRange, "heartbeat"},
		{123, "ReadOptions", Text{GoogleSQL: call(good + ", NULL, NULL, 10000, ['INCLUDE_START_TIME']")[GoogleSQL],
			PostgreSQL: call(good + ", NULL, NULL, 10000, array['INCLUDE_START_TIME']")[PostgreSQL]}, codes.Unimplemented, ""},
		{124, "FunctionAsArgument", Text{GoogleSQL: call("CURRENT_TIMESTAMP(), NULL, NULL, 10000")[GoogleSQL], PostgreSQL: call("now(), NULL, NULL, 10000")[PostgreSQL]}, codes.InvalidArgument, ""},
		{124, "SubSelectAsArgument", Text{GoogleSQL: call(good + ", NULL, (SELECT 'x'), 10000")[GoogleSQL]}, codes.InvalidArgument, "2"},
		{125, "UnknownToken", call(good + ", NULL, 'no such token', 10000"), codes.InvalidArgument, "partition_token is invalid"},
		{125, "EmptyToken", call(good + ", NULL, '', 10000"), codes.InvalidArgument, "partition_token is invalid"},
		combined(128, "Limit", "LIMIT 1"), combined(128, "Offset", "LIMIT 1 OFFSET 1"), combined(128, "Where", "WHERE TRUE"),
		{128, "OrderBy", Text{PostgreSQL: around("", "SELECT * FROM CALL ORDER BY 1")[PostgreSQL]}, codes.Unimplemented, ""},
		{128, "FieldAccess", around("SELECT ChangeRecord[OFFSET(0)].heartbeat_record FROM CALL", ""), codes.Unimplemented, "SELECT ChangeRecord FROM"},
		{128, "Aggregate", around("SELECT COUNT(*) FROM CALL", "SELECT COUNT(*) FROM CALL"), codes.Unimplemented, ""},
		{128, "Join", around("SELECT ChangeRecord FROM CALL CROSS JOIN test_table", "SELECT * FROM CALL CROSS JOIN test_table"), codes.Unimplemented, ""},
		{128, "With", around("WITH q AS (SELECT 1) SELECT ChangeRecord FROM CALL", "WITH q AS (SELECT 1) SELECT * FROM CALL"), codes.Unimplemented, ""},
		{133, "UnknownFunctionGoogleSQL", Text{GoogleSQL: "SELECT ChangeRecord FROM READ_nothing(" + good + ", NULL, NULL, 10000)"}, codes.InvalidArgument, ""},
		{133, "UnknownFunctionPostgreSQL", Text{PostgreSQL: "SELECT * FROM spanner.read_json_nothing(" + good + ", NULL, NULL, 10000)"}, codes.NotFound, ""},
	}
}

func rejectedSQL(ctx context.Context, t *testing.T, f *fixture) {
	for _, r := range rejections(f.commit) {
		if r.sql[f.dialect] == "" {
			continue
		}
		t.Run(fmt.Sprintf("%03d_%s", r.id, r.name), func(t *testing.T) {
			err := f.run(ctx, r.sql[f.dialect], nil)
			if status.Code(err) != r.code || !strings.Contains(status.Convert(err).Message(), r.says) {
				t.Errorf("%s\ngot  %v\nwant %v %q", r.sql[f.dialect], err, r.code, r.says)
			}
		})
	}
}

// run executes a statement with ExecuteStreamingSql and drops its rows.
func (f *fixture) run(ctx context.Context, sql string, change func(*sppb.ExecuteSqlRequest)) error {
	request, err := streamRequest(ctx, f.conn, Query{Stream: f.stream, Start: f.commit, End: f.commit})
	if err != nil {
		return err
	}
	if sql != "" {
		request.Sql, request.Params, request.ParamTypes = sql, nil, nil
	}
	if change != nil {
		change(request)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return execute(ctx, f.conn, request, func([]*sppb.StructType_Field, []*structpb.Value) error { return nil })
}

func rejectedTransactions(ctx context.Context, t *testing.T, f *fixture) {
	readOnly := func(o *sppb.TransactionOptions_ReadOnly) *sppb.TransactionOptions {
		return &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadOnly_{ReadOnly: o}}
	}
	strong := readOnly(&sppb.TransactionOptions_ReadOnly{TimestampBound: &sppb.TransactionOptions_ReadOnly_Strong{Strong: true}})
	stale := readOnly(&sppb.TransactionOptions_ReadOnly{TimestampBound: &sppb.TransactionOptions_ReadOnly_MinReadTimestamp{}})
	begin := func(o *sppb.TransactionOptions) func(*sppb.ExecuteSqlRequest) {
		return func(r *sppb.ExecuteSqlRequest) {
			r.Transaction = &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_Begin{Begin: o}}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*sppb.ExecuteSqlRequest)
		code   codes.Code
	}{
		{"129_BeginReadWrite", begin(&sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadWrite_{ReadWrite: &sppb.TransactionOptions_ReadWrite{}}}), codes.InvalidArgument},
		{"129_BeginPartitionedDML", begin(&sppb.TransactionOptions{Mode: &sppb.TransactionOptions_PartitionedDml_{PartitionedDml: &sppb.TransactionOptions_PartitionedDml{}}}), codes.InvalidArgument},
		{"129_BeginStrong", begin(strong), codes.InvalidArgument},
		{"129_BeginStale", begin(stale), codes.InvalidArgument},
		{"130_SingleUseStrong", func(r *sppb.ExecuteSqlRequest) {
			r.Transaction = &sppb.TransactionSelector{Selector: &sppb.TransactionSelector_SingleUse{SingleUse: strong}}
		}, codes.OK},
		{"130_EmptySelector", func(r *sppb.ExecuteSqlRequest) { r.Transaction = nil }, codes.OK},
		{"132_QueryModePlan", func(r *sppb.ExecuteSqlRequest) { r.QueryMode = sppb.ExecuteSqlRequest_PLAN }, codes.Unimplemented},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := f.run(ctx, "", c.change); status.Code(err) != c.code {
				t.Errorf("got %v, want %v", err, c.code)
			}
		})
	}
	t.Run("131_ExecuteSql", func(t *testing.T) {
		request, err := streamRequest(ctx, f.conn, Query{Stream: f.stream, Start: f.commit, End: f.commit})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = sppb.NewSpannerClient(f.conn).ExecuteSql(ctx, request); status.Code(err) != codes.InvalidArgument {
			t.Errorf("got %v, want INVALID_ARGUMENT", err)
		}
	})
}

func acceptedSpellings(ctx context.Context, t *testing.T, f *fixture) {
	s := at(f.commit)
	spellings := Text{
		GoogleSQL: "SELECT ChangeRecord FROM READ_test_stream(S, S, NULL, 10000)|SELECT * FROM READ_test_stream(S, S, NULL, 10000, NULL)|" +
			"SELECT ChangeRecord FROM read_TEST_stream(S, S, NULL, 10000)|SELECT ChangeRecord FROM `READ_test_stream`(S, S, NULL, 10000)|" +
			"SELECT ChangeRecord FROM READ_test_stream(start_timestamp => S, end_timestamp => S, partition_token => NULL, heartbeat_milliseconds => 10000)",
		PostgreSQL: `SELECT * FROM spanner.read_json_test_stream(S, S, NULL, 10000)|SELECT * FROM "spanner"."read_json_test_stream"(S, S, NULL, 10000, NULL)`,
	}
	for sql := range strings.SplitSeq(strings.ReplaceAll(spellings[f.dialect], "S,", s+","), "|") {
		if err := f.run(ctx, sql, nil); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
