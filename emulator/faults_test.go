package emulator_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/conformance"
)

// parts receives the raw frames of a change stream query until it ends.
func (f *fixture) parts(ctx context.Context, t testing.TB, q conformance.Query, resume []byte) ([]*sppb.PartialResultSet, error) {
	t.Helper()
	token := structpb.NewNullValue()
	if q.Token != "" {
		token = structpb.NewStringValue(q.Token)
	}
	end := structpb.NewNullValue()
	if !q.End.IsZero() {
		end = structpb.NewStringValue(q.End.UTC().Format(time.RFC3339Nano))
	}
	stream, err := sppb.NewSpannerClient(f.conn).ExecuteStreamingSql(ctx, &sppb.ExecuteSqlRequest{
		Session: database + "/sessions/any", Sql: "SELECT ChangeRecord FROM READ_S(@s, @e, @t, 300000)", ResumeToken: resume,
		Params: &structpb.Struct{Fields: map[string]*structpb.Value{"s": structpb.NewStringValue(q.Start.UTC().Format(time.RFC3339Nano)), "e": end, "t": token}}})
	if err != nil {
		return nil, err
	}
	var out []*sppb.PartialResultSet
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, part)
	}
}

// thirty commits thirty transactions and returns the partition that has them.
func thirty(t *testing.T, faults emulator.Faults) (f *fixture, token string, from, to time.Time) {
	f = start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	from = f.put(t, 0)
	for id := int64(1); id < 30; id++ {
		to = f.put(t, id)
	}
	token = f.tokens(t, from)[0]
	f.SetFaults(faults)
	return f, token, from, to
}

func TestFaults_FailAfterFrames(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{})
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.ResourceExhausted} {
		f.SetFaults(emulator.Faults{Fail: code, FailAfter: 3, OneRowPerFrame: true})
		got, err := f.parts(limit(t), t, f.query(token, from, to), nil)
		if status.Code(err) != code || len(got) != 3 {
			t.Errorf("%d frames and %v, want 3 and %v", len(got), err, code)
		}
	}
}

func TestFaults_EndAfterFrames(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{EndAfter: 3, OneRowPerFrame: true})
	if got, err := f.parts(limit(t), t, f.query(token, from, to), nil); err != nil || len(got) != 3 {
		t.Errorf("%d frames and %v, want 3 and a clean end", len(got), err)
	}
}

// TestFaults_ResumeTokensMakeResumptionExact breaks a query every two frames.
func TestFaults_ResumeTokensMakeResumptionExact(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{Fail: codes.Unavailable, FailAfter: 2, OneRowPerFrame: true})
	var resume []byte
	rows, seen := 0, map[string]bool{}
	for range 100 {
		got, err := f.parts(limit(t), t, f.query(token, from, to), resume)
		for _, part := range got {
			rows += len(part.Values)
			resume = part.ResumeToken
			if seen[string(resume)] {
				t.Fatalf("resume token %s comes twice", resume)
			}
			seen[string(resume)] = true
		}
		if err == nil {
			break
		}
	}
	if rows != 30 {
		t.Errorf("%d rows over all breaks, want 30", rows)
	}
}

func TestFaults_GoClientHealsOverBreaks(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{Fail: codes.Unavailable, FailAfter: 2, OneRowPerFrame: true})
	rows := 0
	err := f.client.Single().Query(limit(t), spanner.Statement{SQL: "SELECT ChangeRecord FROM READ_S(@s, @e, @t, 300000)",
		Params: map[string]any{"s": from, "e": to, "t": token}}).Do(func(*spanner.Row) error { rows++; return nil })
	if err != nil || rows != 30 {
		t.Errorf("%d rows, %v; want 30", rows, err)
	}
}

func TestFaults_ResumeTokens(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{})
	for name, c := range map[string]struct {
		faults emulator.Faults
		good   func(tokens map[string]bool) bool
	}{
		"none":     {emulator.Faults{NoResumeTokens: true, OneRowPerFrame: true}, func(m map[string]bool) bool { return len(m) == 1 && m[""] }},
		"constant": {emulator.Faults{ConstantResumeTokens: true, OneRowPerFrame: true}, func(m map[string]bool) bool { return len(m) == 1 && !m[""] }},
		"unique":   {emulator.Faults{OneRowPerFrame: true}, func(m map[string]bool) bool { return len(m) == 30 && !m[""] }},
	} {
		f.SetFaults(c.faults)
		got, err := f.parts(limit(t), t, f.query(token, from, to), nil)
		tokens := map[string]bool{}
		for _, part := range got {
			tokens[string(part.ResumeToken)] = true
		}
		if err != nil || !c.good(tokens) {
			t.Errorf("%s: %d tokens on %d frames, %v", name, len(tokens), len(got), err)
		}
	}
}

func TestFaults_Shapes(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{})
	f.SetFaults(emulator.Faults{NullArrays: true})
	got, err := f.parts(limit(t), t, f.query(token, from, to), nil)
	if err != nil || len(got) != 30 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	record := got[0].Values[0].GetListValue().Values[0].GetListValue().Values
	for i := 1; i <= 2; i++ {
		if _, null := record[i].Kind.(*structpb.Value_NullValue); !null {
			t.Errorf("array %d is %v, want NULL", i, record[i])
		}
	}
	f.SetFaults(emulator.Faults{NullParents: true})
	got, err = f.parts(limit(t), t, f.query("", from, time.Time{}), nil)
	if err != nil || !strings.Contains(got[0].String(), "null_value") {
		t.Errorf("parents of first partitions: %v %v", got, err)
	}
}

func TestFaults_ChildRecords(t *testing.T) {
	f, token, from, _ := thirty(t, emulator.Faults{})
	if err := f.Churn(database, "S", emulator.Split, token); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		faults  emulator.Faults
		records int
	}{"together": {emulator.Faults{}, 1}, "apart": {emulator.Faults{SeparateChildren: true}, 2}, "none": {emulator.Faults{NoChildRecord: true}, 0}} {
		f.SetFaults(c.faults)
		rows, err := f.rows(t, token, from, time.Time{})
		n := 0
		for _, r := range rows {
			if r.Child != nil {
				n++
			}
		}
		if err != nil || n != c.records || len(rows)-n != 30 {
			t.Errorf("%s: %d child records of %d rows, %v", name, n, len(rows), err)
		}
	}
}

func TestFaults_SilentQuery(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{Silent: true})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := f.parts(ctx, t, f.query(token, from, to), nil); len(got) != 0 || status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%d frames, %v; want none until the deadline", len(got), err)
	}
}

func TestFaults_TokensExpire(t *testing.T) {
	f, token, from, to := thirty(t, emulator.Faults{TokenLife: time.Hour})
	if _, err := f.rows(t, token, from, to); err != nil {
		t.Fatal(err)
	}
	f.Advance(2 * time.Hour)
	if _, err := f.rows(t, token, from, to); status.Code(err) != codes.OutOfRange {
		t.Errorf("after the token's life: %v", err)
	}
}

func TestFaults_SharedTimestamps(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := start(t, emulator.Options{Clock: func() time.Time { return clock }, Faults: emulator.Faults{SharedTimestamps: true}}, emulator.GoogleSQL, itemsDDL...)
	f.Advance(time.Minute)
	first, second := f.put(t, 1), f.put(t, 2)
	if !first.Equal(second) {
		t.Errorf("disjoint commits at %s and %s", first, second)
	}
	f.SetFaults(emulator.Faults{SharedTimestamps: true, OneRowPerFrame: true}) // a frame may end between the two
	if got := f.data(t, first, first); len(got) != 2 || got[0].ServerTransactionID == got[1].ServerTransactionID {
		t.Errorf("records %+v", got)
	}
	f.Advance(time.Millisecond)
	if third := f.put(t, 1); !third.After(first) {
		t.Errorf("a second commit to a row at %s, the first at %s", third, first)
	}
}

func TestFaults_SlowCommit(t *testing.T) {
	f := start(t, emulator.Options{Faults: emulator.Faults{CommitDelay: 50 * time.Millisecond}}, emulator.GoogleSQL, itemsDDL...)
	began := time.Now()
	f.put(t, 1)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("the commit took %s", took)
	}
}

func TestChunks_MergeBack(t *testing.T) {
	f := start(t, emulator.Options{Faults: emulator.Faults{ChunkSize: 40}}, emulator.GoogleSQL, itemsDDL...)
	long := strings.Repeat("Ünï☃𝄞 \"quoted\" ", 500)
	at, err := f.client.Apply(limit(t), []*spanner.Mutation{spanner.Insert("Items", []string{"Id", "V"}, []any{1, long}), spanner.Insert("Items", []string{"Id", "V"}, []any{2, ""})})
	if err != nil {
		t.Fatal(err)
	}
	cut := f.data(t, at, at)
	parts, err := f.parts(limit(t), t, f.query(f.tokens(t, at)[0], at, at), nil)
	if err != nil || len(parts) < 100 {
		t.Errorf("%d parts, %v", len(parts), err)
	}
	f.SetFaults(emulator.Faults{})
	whole := f.data(t, at, at)
	if len(cut) != 1 || len(cut[0].Mods) != 2 || cut[0].Mods[0] != whole[0].Mods[0] || cut[0].Mods[1] != whole[0].Mods[1] {
		t.Error("the record that was cut differs from the whole one")
	}
	f.SetFaults(emulator.Faults{ChunkSize: 40})
	if got, err := f.texts(t, "SELECT V FROM Items WHERE Id = 1", nil); err != nil || got[0] != long {
		t.Errorf("a query's value that was cut: %d characters, %v", len(got[0]), err)
	}
}

func TestRestart_KeepsDataAndAddress(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	at := f.put(t, 1)
	token := f.tokens(t, at)[0]
	broken := make(chan error, 1)
	go func() {
		_, err := f.parts(limit(t), t, f.query(token, at, time.Time{}), nil)
		broken <- err
	}()
	for ctx := limit(t); f.Queries(database, "S") == 0; { // it must run before the restart
		select {
		case <-ctx.Done():
			t.Fatal("the query does not run")
		case <-time.After(time.Millisecond):
		}
	}
	addr := f.Addr()
	if err := f.Restart(limit(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-broken; status.Code(err) != codes.Unavailable && status.Code(err) != codes.Canceled {
		t.Errorf("the running query ended with %v", err)
	}
	if f.Addr() != addr {
		t.Errorf("address %s, then %s", addr, f.Addr())
	}
	if got, err := f.texts(t, "SELECT Id FROM Items", nil); err != nil || len(got) != 1 {
		t.Errorf("after the restart: %v %v", got, err)
	}
	if got := f.data(t, at, f.put(t, 2)); len(got) != 2 {
		t.Errorf("%d records after the restart", len(got))
	}
}
