package h2rpc_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spancast/spancast/internal/h2rpc"
)

// quickPair is a connection and its peer, which hold little that was not read.
func quickPair(t *testing.T) (quick net.Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer = accepted.(*net.TCPConn)
	if quick, err = h2rpc.Quick(dialled.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { quick.Close(); peer.Close() })
	end := time.Now().Add(30 * time.Second)
	err = errors.Join(peer.SetReadBuffer(64<<10), dialled.(*net.TCPConn).SetWriteBuffer(64<<10), peer.SetDeadline(end), quick.SetDeadline(end))
	if err != nil {
		t.Fatal(err)
	}
	return quick, peer
}

// much is more than a connection holds that nobody reads.
const much = 16 << 20

func TestQuick_LargeWritesGoAsThePeerReads(t *testing.T) {
	quick, peer := quickPair(t)
	want := numbered(1, much)
	written := make(chan error, 1)
	go func() {
		n, err := quick.Write(want)
		if err == nil && n != len(want) {
			err = io.ErrShortWrite
		}
		written <- err
	}()
	got := make([]byte, 0, much)
	for len(got) < much {
		size := min(9973, much-len(got))
		n, err := peer.Read(got[len(got) : len(got)+size])
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)+n]
		select {
		case err := <-written:
			if len(got) < much/2 {
				t.Fatalf("the write ended (%v) when %d bytes were read", err, len(got))
			}
			written <- err
		default:
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("what was read is not what was written")
	}
}

func TestQuick_ReadsAndWritesAtTheSameTime(t *testing.T) {
	quick, peer := quickPair(t)
	var both sync.WaitGroup
	both.Go(func() { // gives back what comes
		if _, err := io.Copy(struct{ io.Writer }{peer}, struct{ io.Reader }{peer}); err != nil {
			t.Error(err)
		}
	})
	want := numbered(2, much)
	both.Go(func() {
		for b := want; len(b) > 0; {
			n, err := quick.Write(b[:min(len(b), 70001)])
			if err != nil {
				t.Error(err)
				return
			}
			b = b[n:]
		}
	})
	got := make([]byte, much)
	if _, err := io.ReadFull(quick, got); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("what came back is not what was written")
	}
	quick.Close()
	both.Wait()
}

func TestQuick_ReadsUntilTheEnd(t *testing.T) {
	quick, peer := quickPair(t)
	if _, err := peer.Write([]byte("the last")); err != nil {
		t.Fatal(err)
	}
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(quick); string(got) != "the last" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n, err := quick.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("once more: %d bytes, %v", n, err)
	}
	if _, err := quick.Write([]byte("answer")); err != nil {
		t.Errorf("the other direction is still open: %v", err)
	}
}

func TestQuick_NothingToMoveNeedsNoTime(t *testing.T) {
	quick, _ := quickPair(t)
	if err := quick.SetDeadline(time.Unix(1, 0)); err != nil { // as net does, whatever the deadline
		t.Fatal(err)
	}
	if n, err := quick.Read(nil); n != 0 || err != nil {
		t.Errorf("read: %d bytes, %v", n, err)
	}
	if n, err := quick.Write(nil); n != 0 || err != nil {
		t.Errorf("write: %d bytes, %v", n, err)
	}
}

func TestQuick_DeadlinesEndAWaitAndCanBeLifted(t *testing.T) {
	quick, peer := quickPair(t)
	b := make([]byte, 8)
	for _, at := range []time.Time{time.Unix(1, 0), time.Now().Add(20 * time.Millisecond)} {
		if err := quick.SetReadDeadline(at); err != nil {
			t.Fatal(err)
		}
		if n, err := quick.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("with a deadline of %v: %d bytes, %v", at, n, err)
		}
	}
	if err := quick.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := quick.Read(make([]byte, 1))
		read <- err
	}()
	if err := quick.SetReadDeadline(time.Unix(1, 0)); err != nil { // interrupts who waits already
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("interrupted: %v", err)
	}
	if err := quick.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("after")); err != nil {
		t.Fatal(err)
	}
	if n, err := quick.Read(b); string(b[:n]) != "after" || err != nil {
		t.Errorf("without one: %q, %v", b[:n], err)
	}
}

func TestQuick_AWriteThatIsLateSaysHowMuchWent(t *testing.T) {
	quick, peer := quickPair(t)
	want := numbered(3, much)
	if err := quick.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := quick.Write(want)
	if n <= 0 || n >= much || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	quick.Close()
	if got, err := io.ReadAll(peer); !bytes.Equal(got, want[:n]) || err != nil {
		t.Errorf("%d bytes came of %d that went, %v", len(got), n, err)
	}
}

func TestQuick_AResetIsAnErrorWithItsName(t *testing.T) {
	quick, peer := quickPair(t)
	if err := peer.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if _, err := quick.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if n, err := quick.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write: %d bytes, %v", n, err)
	}
}

func TestQuick_CloseEndsWhoReadsAndWhoWrites(t *testing.T) {
	quick, peer := quickPair(t)
	ended := make(chan error, 2)
	go func() {
		_, err := quick.Read(make([]byte, 1))
		ended <- err
	}()
	go func() {
		_, err := quick.Write(make([]byte, much))
		ended <- err
	}()
	if _, err := io.ReadFull(peer, make([]byte, 1<<20)); err != nil { // so it is written
		t.Fatal(err)
	}
	quick.Close()
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := quick.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read afterwards: %v", err)
	}
	if _, err := quick.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write afterwards: %v", err)
	}
}

func TestQuick_AllocatesNothing(t *testing.T) {
	quick, peer := quickPair(t)
	var echo sync.WaitGroup
	echo.Go(func() {
		for b := make([]byte, 64); ; {
			n, err := peer.Read(b)
			if err != nil {
				return
			}
			if _, err := peer.Write(b[:n]); err != nil {
				return
			}
		}
	})
	b := make([]byte, 64)
	n := testing.AllocsPerRun(200, func() {
		if _, err := quick.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(quick, b); err != nil { // has to wait for it
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a write and a read", n)
	}
	quick.Close()
	echo.Wait()
}
