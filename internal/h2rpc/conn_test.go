package h2rpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/spancast/spancast/internal/h2rpc"
)

// open begins a call.
func open(t testing.TB, c *h2rpc.Conn, ctx context.Context, request string) *h2rpc.Stream {
	t.Helper()
	s, err := c.Open(ctx, streamMethod, nil, []byte(request))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// forever is a server that sends messages of a size until the call ends.
func forever(size int) func([]byte, grpc.ServerStream) error {
	return func(_ []byte, s grpc.ServerStream) error {
		for n := uint64(0); ; n++ {
			if err := send(s, numbered(n, size)); err != nil {
				return err
			}
		}
	}
}

// recvCode receives until there is an error and returns its code; OK at the end.
func recvCode(s *h2rpc.Stream) codes.Code {
	var m h2rpc.Message
	defer m.Release()
	for {
		if err := s.Recv(&m); errors.Is(err, io.EOF) {
			return codes.OK
		} else if err != nil {
			return status.Code(err)
		}
	}
}

// certificate is one for 127.0.0.1, for both sides.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}},
		&tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}}
}

func TestStream_MessagesComeWholeAndInOrder(t *testing.T) {
	sizes := []int{0, 1, 5, 100, 16379, 16380, 16384, 21000, testWindow - 5, testWindow, 3 * testWindow, 5 << 20}
	const rounds = 40
	size := func(n int) int {
		if n > 2*len(sizes) {
			return min(sizes[n%len(sizes)], 3*testWindow)
		}
		return sizes[n%len(sizes)]
	}
	all := func(_ []byte, s grpc.ServerStream) error {
		for n := range rounds * len(sizes) {
			if err := send(s, numbered(uint64(n), size(n))); err != nil {
				return err
			}
		}
		return nil
	}
	check := func(t *testing.T, c *h2rpc.Conn) {
		s := open(t, c, limit(t), "?")
		var m h2rpc.Message
		for n := range rounds * len(sizes) {
			if err := s.Recv(&m); err != nil {
				t.Fatalf("message %d: %v", n, err)
			}
			if err := isNumbered(m.Bytes, uint64(n), size(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Recv(&m); !errors.Is(err, io.EOF) || m.Bytes != nil {
			t.Errorf("at the end: %v, %d bytes", err, len(m.Bytes))
		}
		if err := s.Recv(&m); !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %v", err)
		}
	}
	t.Run("plain", func(t *testing.T) { check(t, dial(t, serve(t, all), nil)) })
	t.Run("TLS", func(t *testing.T) {
		server, client := certificate(t)
		check(t, dial(t, serve(t, all, grpc.Creds(credentials.NewTLS(server))), client))
	})
}

// Streams of one connection, some of which are slow, some of which are given up at
// some time, and more of which begin then: each gets what is its own.
func TestConn_StreamsDoNotDisturbEachOther(t *testing.T) {
	server, client := certificate(t)
	for name, tlsOf := range map[string][2]*tls.Config{"plain": {}, "TLS": {server, client}} {
		t.Run(name, func(t *testing.T) {
			var o []grpc.ServerOption
			if tlsOf[0] != nil {
				o = append(o, grpc.Creds(credentials.NewTLS(tlsOf[0])))
			}
			address := serve(t, func(request []byte, s grpc.ServerStream) error {
				want, err := strconv.Atoi(string(request))
				for n := 0; n < want && err == nil; n++ {
					err = send(s, numbered(uint64(n), want*100+n))
				}
				return err
			}, o...)
			c := dial(t, address, tlsOf[1])
			const goroutines, each = 8, 40
			var wg sync.WaitGroup
			var whole atomic.Int32
			for g := range goroutines {
				wg.Go(func() {
					random := mathrand.New(mathrand.NewPCG(1, uint64(g)))
					for range each {
						ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
						want := 1 + random.IntN(200)
						stop := random.IntN(2 * want) // at this message, if there is such
						if random.IntN(4) == 0 {
							time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
						}
						if err := one(ctx, c, want, stop, random); err == nil {
							whole.Add(1)
						} else if !errors.Is(err, errGivenUp) && status.Code(err) != codes.Canceled {
							t.Errorf("%d messages: %v", want, err)
						}
						cancel()
					}
				})
			}
			wg.Wait()
			if n := whole.Load(); n < goroutines*each/8 {
				t.Errorf("%d streams came whole", n)
			}
			if err := one(limit(t), c, 200, 200, mathrand.New(mathrand.NewPCG(1, 1))); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

var errGivenUp = errors.New("given up")

func one(ctx context.Context, c *h2rpc.Conn, want, stop int, random *mathrand.Rand) error {
	s, err := c.Open(ctx, streamMethod, nil, []byte(strconv.Itoa(want)))
	if err != nil {
		return err
	}
	defer s.Close()
	var m h2rpc.Message
	defer m.Release()
	for n := range want {
		if n == stop {
			return errGivenUp
		}
		if random.IntN(50) == 0 {
			time.Sleep(time.Millisecond)
		}
		if err := s.Recv(&m); err != nil {
			return err
		}
		if err := isNumbered(m.Bytes, uint64(n), want*100+n); err != nil {
			return err
		}
	}
	if err := s.Recv(&m); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

func TestStream_EndsAsTheServerSays(t *testing.T) {
	detailed, err := status.New(codes.ResourceExhausted, "later, 100 %").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	answers := []error{nil, detailed.Err()}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		answers = append(answers, status.Error(code, "grüße\nof "+code.String()+" %25"), status.Error(code, ""))
	}
	address := serve(t, func(request []byte, s grpc.ServerStream) error {
		kind, number, _ := strings.Cut(string(request), " ")
		n, err := strconv.Atoi(number)
		if err == nil && kind == "after" {
			err = send(s, numbered(1, 100))
		}
		if err != nil {
			return err
		}
		return answers[n]
	})
	c := dial(t, address, nil)
	for n, want := range answers {
		for _, kind := range []string{"at once", "after"} {
			kind, _, _ = strings.Cut(kind, " ")
			s := open(t, c, limit(t), kind+" "+strconv.Itoa(n))
			var m h2rpc.Message
			err := s.Recv(&m)
			if kind == "after" {
				if err != nil {
					t.Fatalf("%s %v: the message did not come: %v", kind, want, err)
				}
				err = s.Recv(&m)
			}
			if want == nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s OK: %v", kind, err)
				}
				continue
			}
			if got, want := status.Convert(err).Proto().String(), status.Convert(want).Proto().String(); got != want {
				t.Errorf("%s: got %s, want %s", kind, got, want)
			}
		}
	}
}

func TestOpen_SendsHeadersAndTheRequest(t *testing.T) {
	got, request := make(chan metadata.MD, 1), make(chan string, 1)
	address := serve(t, func(r []byte, s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		if at, ok := s.Context().Deadline(); ok {
			md.Set("left", time.Until(at).Round(10*time.Second).String())
		}
		got <- md
		request <- string(r)
		return nil
	})
	c := dial(t, address, nil)
	long := strings.Repeat("x", 200_000) // more than the server's windows, and than a frame
	for _, body := range []string{"", "short", long} {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		s, err := c.Open(ctx, streamMethod, []h2rpc.Header{{Name: "authorization", Value: "Bearer T"}, {Name: "x-long", Value: long[:6000]}}, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if code := recvCode(s); code != codes.OK {
			t.Fatalf("ended with %v", code)
		}
		md := <-got
		for name, want := range map[string]string{"authorization": "Bearer T", "x-long": long[:6000], "user-agent": "test", "content-type": "application/grpc", ":authority": address, "left": "40s"} {
			if len(md.Get(name)) != 1 || md.Get(name)[0] != want {
				t.Errorf("%s: %.100q", name, md.Get(name))
			}
		}
		if r := <-request; r != body {
			t.Errorf("the request was %d bytes, not %d", len(r), len(body))
		}
		cancel()
	}
}

// The stream that reads for all others is given up while it waits.
func TestStream_WhoReadsForOthersMayLeave(t *testing.T) {
	release := make(chan struct{})
	ended := make(chan error, 10)
	address := serve(t, func(request []byte, s grpc.ServerStream) error {
		if string(request) == "silent" {
			<-s.Context().Done()
			ended <- s.Context().Err()
			return nil
		}
		<-release
		return send(s, numbered(1, 10))
	})
	c := dial(t, address, nil)
	ctx, cancel := context.WithCancel(limit(t))
	silent, code := open(t, c, ctx, "silent"), make(chan codes.Code, 2)
	go func() { code <- recvCode(silent) }()
	time.Sleep(50 * time.Millisecond) // now it reads, most probably
	other := open(t, c, limit(t), "other")
	go func() { code <- recvCode(other) }()
	time.Sleep(50 * time.Millisecond)
	cancel()
	if got := <-code; got != codes.Canceled {
		t.Errorf("who was given up ended with %v", got)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the server was not told")
	}
	close(release)
	if got := <-code; got != codes.OK {
		t.Errorf("the other ended with %v", got)
	}
}

func TestStream_EndsWithItsDeadline(t *testing.T) {
	address := serve(t, func(_ []byte, s grpc.ServerStream) error { <-s.Context().Done(); return s.Context().Err() })
	ctx, cancel := context.WithTimeout(limit(t), 50*time.Millisecond)
	defer cancel()
	if code := recvCode(open(t, dial(t, address, nil), ctx, "?")); code != codes.DeadlineExceeded {
		t.Error(code)
	}
	<-ctx.Done() // the server may have been first
	if _, err := dial(t, address, nil).Open(ctx, streamMethod, nil, nil); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

func TestConn_LimitsStreams(t *testing.T) {
	c := dial(t, serve(t, forever(10)), nil)
	ctx, cancel := context.WithCancel(limit(t))
	defer cancel()
	for range c.Limit() {
		open(t, c, ctx, "?")
	}
	if _, err := c.Open(ctx, streamMethod, nil, nil); c.Limit() != 8 || status.Code(err) != codes.Unavailable {
		t.Errorf("limit %d, %v", c.Limit(), err)
	}
}

func TestConn_BreaksForAllStreams(t *testing.T) {
	for name, end := range map[string]func(c *h2rpc.Conn, nc net.Conn){
		"closed here":  func(c *h2rpc.Conn, _ net.Conn) { c.Close() },
		"closed there": func(_ *h2rpc.Conn, nc net.Conn) { nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, forever(100))
			front, accepted := relay(t, address)
			c := dial(t, front, nil)
			var ended []chan codes.Code
			for range 5 {
				s, code := open(t, c, limit(t), "?"), make(chan codes.Code, 1)
				go func() { code <- recvCode(s) }()
				ended = append(ended, code)
			}
			end(c, <-accepted)
			want := codes.Unavailable
			if name == "closed here" {
				want = codes.Canceled
			}
			for _, code := range ended {
				if got := <-code; got != want {
					t.Errorf("a stream ended with %v", got)
				}
			}
			if _, err := c.Open(limit(t), streamMethod, nil, nil); status.Code(err) != want || c.Limit() != 0 {
				t.Errorf("a new stream: %v, limit %d", err, c.Limit())
			}
		})
	}
}

// relay passes connections on to an address, and hands out its side of those.
func relay(t testing.TB, to string) (address string, accepted chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted = make(chan net.Conn, 10)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			accepted <- in
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
	return l.Addr().String(), accepted
}

// A server that is stopped in order sends GOAWAY: what runs goes on, new streams
// begin elsewhere.
func TestConn_LeavesWhenTheServerAsksTo(t *testing.T) {
	proceed := make(chan struct{})
	g := make(chan *grpc.Server, 1)
	address := serveAs(t, g, func(_ []byte, s grpc.ServerStream) error {
		err := send(s, numbered(0, 10))
		<-proceed
		return errors.Join(err, send(s, numbered(1, 10)))
	})
	c := dial(t, address, nil)
	s := open(t, c, limit(t), "?")
	var m h2rpc.Message
	if err := s.Recv(&m); err != nil {
		t.Fatal(err)
	}
	stopped, code := make(chan struct{}), make(chan codes.Code, 1)
	go func() { (<-g).GracefulStop(); close(stopped) }()
	go func() { code <- recvCode(s) }()
	for deadline := time.Now().Add(10 * time.Second); c.Limit() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Open(limit(t), streamMethod, nil, nil); status.Code(err) != codes.Unavailable {
		t.Errorf("a new stream: %v", err)
	}
	close(proceed)
	if got := <-code; got != codes.OK {
		t.Errorf("what ran ended with %v", got)
	}
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("the connection was not left")
	}
}
