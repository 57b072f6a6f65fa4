package emulator_test

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
)

// session asks for a session on a fresh connection, failing fast.
func session(ctx context.Context, t testing.TB, addr string) error {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = sppb.NewSpannerClient(conn).CreateSession(ctx, &sppb.CreateSessionRequest{Database: database})
	return err
}

func TestOutage_RefusesUntilItEnds(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	at := f.put(t, 1)
	for range 2 {
		if err := f.Down(); err != nil {
			t.Fatal(err)
		}
	}
	if err := session(limit(t), t, f.Addr()); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "refused") {
		t.Errorf("while it is down: %v", err)
	}
	for range 2 {
		if err := f.Up(limit(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := session(limit(t), t, f.Addr()); err != nil {
		t.Error(err)
	}
	if got := f.data(t, at, f.put(t, 2)); len(got) != 2 {
		t.Errorf("%d records after the outage", len(got))
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f.Down() == nil || f.Up(limit(t)) == nil {
		t.Error("Down or Up after Close")
	}
}

func TestOutage_WaitsForItsPort(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL)
	if err := f.Down(); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { other.Close() })
	if err := f.Up(limit(t)); err != nil {
		t.Error(err)
	}
}

func TestStall_HangsAndGoesOnAfterwards(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, itemsDDL...)
	f.put(t, 1)
	f.SetFaults(emulator.Faults{Stall: true})
	done := make(chan error, 2)
	go func() { // on a connection that is there
		_, err := f.client.Apply(limit(t), []*spanner.Mutation{spanner.Insert("Items", []string{"Id"}, []any{2})})
		done <- err
	}()
	go func() { done <- session(limit(t), t, f.Addr()) }() // on a new one
	f.SetFaults(emulator.Faults{Stall: true, NullArrays: true})
	select {
	case err := <-done:
		t.Fatalf("a request was answered during the stall: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	f.SetFaults(emulator.Faults{})
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got, err := f.texts(t, "SELECT Id FROM Items", nil); err != nil || len(got) != 2 {
		t.Errorf("after the stall: %v %v", got, err)
	}
}

func TestStall_EndsWithTheServer(t *testing.T) {
	f := start(t, emulator.Options{Faults: emulator.Faults{Stall: true}}, emulator.GoogleSQL, itemsDDL...)
	done := make(chan error, 1)
	go func() { done <- session(limit(t), t, f.Addr()) }()
	if err := f.Restart(limit(t)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; status.Code(err) != codes.Unavailable {
		t.Errorf("the request that hung: %v", err)
	}
}

// TestClose_DoesNotWaitForSilentConnections: a probe of the port, say.
func TestClose_DoesNotWaitForSilentConnections(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL)
	silent, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := session(limit(t), t, f.Addr()); err != nil { // by now the server has accepted it
		t.Fatal(err)
	}
	began := time.Now()
	if err := f.Close(); err != nil || time.Since(began) > time.Minute {
		t.Errorf("closed after %s, %v", time.Since(began), err)
	}
}

// TestCommand_Troubles runs the program with an outage and a stall a few times
// a second, through which the Go client must get its commits.
func TestCommand_Troubles(t *testing.T) {
	c := emulator.NewCommand()
	flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
	c.Flags(flags)
	if err := flags.Parse(strings.Fields("--port 0 --restart-every 200ms --restart-for 50ms --stall-every 150ms --stall-for 30ms")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	read, write := io.Pipe()
	go func() {
		err := c.Run(ctx, write)
		write.Close()
		ran <- err
	}()
	out := bufio.NewReader(read)
	first, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err, <-ran)
	}
	go io.Copy(io.Discard, out)
	addr := strings.TrimSpace(strings.TrimPrefix(first, "Spanner emulator on "))
	var failed, fine int
	for fine == 0 || failed == 0 {
		one, end := context.WithTimeout(ctx, 10*time.Second)
		// Every answer of the server is an answer: there is no such database.
		if code := status.Code(session(one, t, addr)); code == codes.NotFound {
			fine++
		} else {
			failed++
		}
		end()
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
