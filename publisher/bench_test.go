package publisher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/spancast/spancast/test/oracle"
	"github.com/spancast/spancast/topics"
)

// The benchmarks of the record path: what a record costs from the bytes of a
// PartialResultSet to the three frames of its messages, without socket. Beside
// it, in the same run, the same bytes through the oracle decoder, and through
// spanner.Client with ToStruct, as libraries do. Records have 8 columns and are
// 1.4 KB on the wire with one mod.
var shapes = []struct {
	name          string
	records, mods int // of a frame, of a record
}{{"1mod", 16, 1}, {"20mods", 4, 20}}

func benchRecord(i, mods int) oracle.Record {
	r := oracle.Record{
		Kind: "data", CommitTimestamp: commitTime.Add(time.Duration(i) * time.Microsecond), RecordSequence: "00000000",
		ServerTransactionID: "NTQ5MTAxNjk2MzM2OTMxOTM5NQ==", Last: true, Table: "sales.Orders", ModType: "UPDATE", Capture: "NEW_ROW", Records: 1, Partitions: 1,
	}
	for c := range 8 {
		r.Columns = append(r.Columns, oracle.Column{Name: fmt.Sprintf("Column%d", c), Type: `{"code":"STRING"}`, Key: c < 2, Ordinal: int64(c + 1)})
	}
	for m := range mods {
		var values []string
		for c := 2; c < 8; c++ {
			values = append(values, fmt.Sprintf(`"Column%d":"%s"`, c, strings.Repeat("v", 120+c)))
		}
		r.Mods = append(r.Mods, oracle.Mod{Keys: fmt.Sprintf(`{"Column0":"key-%08d","Column1":"%d"}`, i, m), New: "{" + strings.Join(values, ",") + "}", Old: "{}"})
	}
	return r
}

// benchFrames returns the first frame of a query, and one of those that follow.
func benchFrames(b testing.TB, records, mods int) (first, next []byte) {
	f := &spannerpb.PartialResultSet{Metadata: oracle.Metadata(oracle.StructColumn())}
	for i := range records {
		f.Values = append(f.Values, oracle.StructRow(benchRecord(i, mods)))
	}
	return marshal(b, f), marshal(b, &spannerpb.PartialResultSet{Values: f.Values, ResumeToken: []byte("0000000000000000")})
}

func marshal(b testing.TB, m proto.Message) []byte {
	b.Helper()
	out, err := proto.Marshal(m)
	check(b, err)
	return out
}

func perRecord(b *testing.B, records int) {
	n := float64(b.N * records)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/record")
	b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkRecordPath(b *testing.B) {
	for _, shape := range shapes {
		b.Run("spancast/"+shape.name, func(b *testing.B) { benchPath(b, shape.records, shape.mods, topics.Default) })
	}
	b.Run("spancast-key/"+shapes[0].name, func(b *testing.B) { benchPath(b, shapes[0].records, shapes[0].mods, "{table}/{key}/") })
	for _, shape := range shapes {
		b.Run("oracle/"+shape.name, func(b *testing.B) { benchOracle(b, shape.records, shape.mods) })
	}
	for _, shape := range shapes {
		b.Run("tostruct/"+shape.name, func(b *testing.B) { benchToStruct(b, shape.records, shape.mods) })
	}
}

// benchPath runs the record path over a frame again and again.
func benchPath(b *testing.B, records, mods int, template string) {
	pass, bytes := recordPath(b, records, mods, template)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pass()
	}
	perRecord(b, records)
	if *bytes == 0 {
		b.Fatal("nothing came out")
	}
}

func benchOracle(b *testing.B, records, mods int) {
	first, next := benchFrames(b, records, mods)
	var d oracle.Decoder
	pass := func(raw []byte) {
		frame := new(spannerpb.PartialResultSet)
		check(b, proto.Unmarshal(raw, frame))
		out, err := d.Frame(frame)
		check(b, err)
		if len(out) != records {
			b.Fatalf("%d records", len(out))
		}
	}
	pass(first)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pass(next)
	}
	perRecord(b, records)
}

// structRecord is what users of spanner.Client decode a change record into.
type structRecord struct {
	Data []*struct {
		CommitTimestamp     time.Time `spanner:"commit_timestamp"`
		RecordSequence      string    `spanner:"record_sequence"`
		ServerTransactionID string    `spanner:"server_transaction_id"`
		Last                bool      `spanner:"is_last_record_in_transaction_in_partition"`
		Table               string    `spanner:"table_name"`
		ColumnTypes         []*struct {
			Name    string           `spanner:"name"`
			Type    spanner.NullJSON `spanner:"type"`
			Key     bool             `spanner:"is_primary_key"`
			Ordinal int64            `spanner:"ordinal_position"`
		} `spanner:"column_types"`
		Mods []*struct {
			Keys spanner.NullJSON `spanner:"keys"`
			New  spanner.NullJSON `spanner:"new_values"`
			Old  spanner.NullJSON `spanner:"old_values"`
		} `spanner:"mods"`
		ModType    string `spanner:"mod_type"`
		Capture    string `spanner:"value_capture_type"`
		Records    int64  `spanner:"number_of_records_in_transaction"`
		Partitions int64  `spanner:"number_of_partitions_in_transaction"`
		Tag        string `spanner:"transaction_tag"`
		System     bool   `spanner:"is_system_transaction"`
	} `spanner:"data_change_record"`
	Heartbeat []*struct {
		Timestamp time.Time `spanner:"timestamp"`
	} `spanner:"heartbeat_record"`
	Children []*struct {
		Start      time.Time `spanner:"start_timestamp"`
		Sequence   string    `spanner:"record_sequence"`
		Partitions []*struct {
			Token   string   `spanner:"token"`
			Parents []string `spanner:"parent_partition_tokens"`
		} `spanner:"child_partitions"`
	} `spanner:"child_partitions_record"`
}

// replay is a Spanner server that answers every query with the same rows for as
// long as it is read.
type replay struct {
	spannerpb.UnimplementedSpannerServer
	values []*structpb.Value
}

func (r *replay) CreateSession(_ context.Context, q *spannerpb.CreateSessionRequest) (*spannerpb.Session, error) {
	return &spannerpb.Session{Name: q.GetDatabase() + "/sessions/s", CreateTime: timestamppb.Now(), Multiplexed: true}, nil
}

func (r *replay) ExecuteStreamingSql(_ *spannerpb.ExecuteSqlRequest, stream spannerpb.Spanner_ExecuteStreamingSqlServer) error {
	md := oracle.Metadata(oracle.StructColumn())
	for i := 0; ; i++ {
		// Every frame has a token of its own: the client holds rows back otherwise.
		if err := stream.Send(&spannerpb.PartialResultSet{Metadata: md, Values: r.values, ResumeToken: fmt.Appendf(nil, "%016d", i)}); err != nil {
			return err
		}
		md = nil
	}
}

func benchToStruct(b *testing.B, records, mods int) {
	server := &replay{}
	for i := range records {
		server.values = append(server.values, oracle.StructRow(benchRecord(i, mods)))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	g := grpc.NewServer()
	spannerpb.RegisterSpannerServer(g, server)
	go g.Serve(l)
	defer g.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client, err := spanner.NewClientWithConfig(ctx, testInfo.Database, spanner.ClientConfig{DisableNativeMetrics: true}, option.WithEndpoint(l.Addr().String()),
		option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	check(b, err)
	defer client.Close()
	rows := client.Single().Query(ctx, spanner.NewStatement("SELECT ChangeRecord FROM READ_Everything()"))
	defer rows.Stop()
	next := func() {
		row, err := rows.Next()
		if errors.Is(err, iterator.Done) {
			b.Fatal("the rows ended")
		}
		check(b, err)
		var out struct {
			ChangeRecord []*structRecord `spanner:"ChangeRecord"`
		}
		check(b, row.ToStruct(&out))
		if len(out.ChangeRecord) != 1 || len(out.ChangeRecord[0].Data) != 1 {
			b.Fatalf("%d records", len(out.ChangeRecord))
		}
	}
	next()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N * records {
		next()
	}
	perRecord(b, records)
}
