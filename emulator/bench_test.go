package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/conformance"
)

// The measures of the emulator, each a benchmark with a figure of its own:
//
//	go test -run '^$' -bench . -benchtime 3s ./emulator

// BenchmarkCommit measures changes a second through gRPC commits of 100 rows,
// the client in the same process, with a change stream on the table.
func BenchmarkCommit(b *testing.B) {
	f := start(b, emulator.Options{MaxVersions: 100_000}, emulator.GoogleSQL, itemsDDL...)
	api := sppb.NewSpannerClient(f.conn)
	const rows, clients = 100, 4
	commits := make(chan int)
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			for n := range commits {
				if _, err := api.Commit(b.Context(), commitRequest(n*rows, rows)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	began := time.Now()
	for n := range b.N {
		commits <- n
	}
	close(commits)
	wait.Wait()
	b.ReportMetric(float64(b.N*rows)/time.Since(began).Seconds(), "changes/s")
}

// commitRequest inserts rows in one commit, as the Go client's Apply does.
func commitRequest(from, n int) *sppb.CommitRequest {
	w := &sppb.Mutation_Write{Table: "Items", Columns: []string{"Id", "V", "N"}}
	for i := range n {
		w.Values = append(w.Values, &structpb.ListValue{Values: []*structpb.Value{
			structpb.NewStringValue(strconv.Itoa(from + i)), structpb.NewStringValue("a value of some length"), structpb.NewStringValue("12345")}})
	}
	return &sppb.CommitRequest{Session: database + "/sessions/any", Mutations: []*sppb.Mutation{{Operation: &sppb.Mutation_InsertOrUpdate{InsertOrUpdate: w}}},
		Transaction: &sppb.CommitRequest_SingleUseTransaction{SingleUseTransaction: &sppb.TransactionOptions{Mode: &sppb.TransactionOptions_ReadWrite_{ReadWrite: &sppb.TransactionOptions_ReadWrite{}}}}}
}

// BenchmarkCommitToReader measures the time from the answer of a commit to the
// arrival of its record at a reader that waits for it.
func BenchmarkCommitToReader(b *testing.B) {
	f := start(b, emulator.Options{Partitions: 1}, emulator.GoogleSQL, itemsDDL...)
	from := f.put(b, 0)
	token := f.tokens(b, from)[0]
	arrived := make(chan time.Time, 16)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go conformance.RunQuery(ctx, f.conn, f.query(token, from, time.Time{}), func(conformance.Row) error {
		arrived <- time.Now()
		return nil
	})
	<-arrived
	var took []time.Duration
	b.ResetTimer()
	for n := range b.N {
		sent := time.Now()
		if _, err := f.client.Apply(ctx, []*spanner.Mutation{spanner.Insert("Items", []string{"Id"}, []any{n + 1})}, spanner.ApplyAtLeastOnce()); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-arrived).Sub(sent))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median-from-request")
}

// BenchmarkLoad measures the synthetic load as a raw reader receives it, the
// bytes of the frames only. The reader is another process where it can be, so
// that each has a core.
func BenchmarkLoad(b *testing.B) {
	const table = `CREATE TABLE Wide (Id STRING(36) NOT NULL, A STRING(MAX), B STRING(MAX), C INT64, D FLOAT64, E TIMESTAMP, F BOOL, G STRING(MAX)) PRIMARY KEY (Id)`
	f := start(b, emulator.Options{Partitions: 1, MaxLogBytes: 64 << 20}, emulator.GoogleSQL, table, "CREATE CHANGE STREAM S FOR ALL OPTIONS (value_capture_type = 'NEW_ROW')")
	tokens, err := f.Partitions(database, "S")
	if err != nil {
		b.Fatal(err)
	}
	from := f.Now()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	made := make(chan int, 1)
	go func() {
		awaitReader(ctx, f)
		n, err := f.Load(ctx, emulator.Load{Database: database, Stream: "S", Table: "Wide", Records: b.N})
		if err != nil {
			b.Error(err)
		}
		made <- n
	}()
	b.ResetTimer()
	received, bytes, took, err := receiveApart(ctx, f.Addr(), tokens[0], from, b.N)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	<-made
	b.ReportMetric(float64(received)/took.Seconds(), "records/s")
	b.ReportMetric(float64(bytes)/float64(received), "bytes/record")
}

// awaitReader waits until the reader's process is there: it holds the first
// connection whose query runs.
func awaitReader(ctx context.Context, f *fixture) {
	for ctx.Err() == nil && f.Queries(database, "S") == 0 {
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

// receiveApart runs this test binary once more as the reader.
func receiveApart(ctx context.Context, addr, token string, from time.Time, n int) (records, bytes int, took time.Duration, err error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestReceiver$", "-test.v")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", fmt.Sprintf("EMULATOR_RECEIVER=%s %s %s %d", addr, token, from.UTC().Format(time.RFC3339Nano), n))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("%w: %s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "received ")
	_, err = fmt.Sscan(line, &records, &bytes, &took)
	return records, bytes, took, err
}

// TestReceiver is the reader of BenchmarkLoad in its own process; without the
// benchmark it does nothing.
func TestReceiver(t *testing.T) {
	var addr, token, from string
	var n int
	if _, err := fmt.Sscan(os.Getenv("EMULATOR_RECEIVER"), &addr, &token, &from, &n); err != nil {
		t.Skip("it is the other half of BenchmarkLoad")
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(4<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	records, bytes, took, err := receive(t.Context(), conn, token, from, n)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("received", records, bytes, took.Nanoseconds())
}

// receive counts the records of a stream without decoding them: each row's
// length says where the next begins.
func receive(ctx context.Context, conn *grpc.ClientConn, token, from string, n int) (records, bytes int, took time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/google.spanner.v1.Spanner/ExecuteStreamingSql", grpc.ForceCodecV2(countingCodec{}))
	if err != nil {
		return 0, 0, 0, err
	}
	request := &sppb.ExecuteSqlRequest{Session: database + "/sessions/any", Sql: "SELECT ChangeRecord FROM READ_S('" + from + "', NULL, '" + token + "', 300000)"}
	if err := errors.Join(stream.SendMsg(request), stream.CloseSend()); err != nil {
		return 0, 0, 0, err
	}
	began := time.Time{}
	for records < n {
		var frame counted
		if err := stream.RecvMsg(&frame); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, 0, 0, err
		}
		if began.IsZero() {
			began = time.Now()
		}
		records, bytes = records+frame.records, bytes+frame.bytes
	}
	return records, bytes, time.Since(began), nil
}

// TestMeasures_ColdStartAndIdleMemory holds the two measures that are cheap to
// take in every run. The limits leave room for a busy machine.
func TestMeasures_ColdStartAndIdleMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 1)
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	idle := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("start, schema and first commit took %s; an idle database holds %d KB of heap", took, idle>>10)
	if took > time.Second || idle > 40<<20 {
		t.Errorf("cold start %s, idle %d MB", took, idle>>20)
	}
}

// counted is a frame of which only the size and the number of rows are known.
type counted struct{ records, bytes int }

// countingCodec sends protobuf and counts what it receives.
type countingCodec struct{}

func (countingCodec) Name() string { return "proto" }

func (countingCodec) Marshal(v any) (mem.BufferSlice, error) {
	return protoCodec().Marshal(v)
}

func (countingCodec) Unmarshal(data mem.BufferSlice, v any) error {
	frame, ok := v.(*counted)
	if !ok {
		return protoCodec().Unmarshal(data, v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	raw := buffer.ReadOnlyData()
	frame.bytes = len(raw)
	for len(raw) > 1 {
		tag, n, used := raw[0], 0, 1
		for shift := 0; used < len(raw); shift += 7 {
			b := raw[used]
			used++
			n |= int(b&0x7f) << shift
			if b < 0x80 {
				break
			}
		}
		if tag == 0x12 {
			frame.records++
		}
		raw = raw[min(used+n, len(raw)):]
	}
	return nil
}
