package changestream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/spancast/spancast/internal/h2rpc"
)

// A Dialer opens connections to Spanner, for HTTP/2.
type Dialer struct {
	Authority string // host:port of Spanner, as it is called there
	Secure    bool   // Connect encrypts
	UserAgent string
	Connect   func(context.Context) (net.Conn, error)
	// Headers are those that prove who asks; nil: none are needed. Its errors have a
	// code of gRPC's (package google.golang.org/grpc/status): Unauthenticated ends the
	// reading, after Unknown it is tried again.
	Headers func(context.Context) ([]Header, error)
}

// A Header is a name in lower case and a value.
type Header = h2rpc.Header

const (
	// streamsPerConn bounds the queries on one connection. Front ends allow 100
	// streams on each, and what is beyond waits without a word.
	streamsPerConn = 50
	// fewConns are the connections that are opened first, for fewer queries each,
	// which then have wider windows. Who has thousands of partitions does not need
	// each of them to be fast.
	fewConns      = 4
	streamsPerFew = 16
	// sessionLife is how long a multiplexed session is used. Spanner keeps them
	// for 28 days.
	sessionLife = 7 * 24 * time.Hour
	// maxMessage is the largest response that is accepted, in bytes. Spanner cuts
	// results into far smaller ones.
	maxMessage = 256 << 20

	// How much may arrive of one query, and of all on a connection, before it is
	// received, in bytes. The second has room for all the queries that share a
	// connection, so that those which wait, for a subscriber or at a move-in, do not
	// stop the others.
	streamWindow = 64 << 10
	connWindow   = 4 << 20
	// dialTimeout is how long it may take to connect.
	dialTimeout = 20 * time.Second

	sessionMethod = "/google.spanner.v1.Spanner/CreateSession"
	queryMethod   = "/google.spanner.v1.Spanner/ExecuteStreamingSql"
)

// conns are the connections that queries run on: four for 16 each, then one more
// for every 50 of them, all with one session.
type conns struct {
	dial     Dialer
	database string
	role     string

	mu      sync.Mutex
	all     []*conn
	session string
	since   time.Time

	creating chan struct{} // has room while nobody makes a session
}

// A conn is a connection, or one that is being made.
type conn struct {
	most    int                // queries on it
	streams int                // that run or are about to
	cancel  context.CancelFunc // of making it
	made    chan struct{}      // closed when what follows is there
	rpc     *h2rpc.Conn
	err     error
}

func newConns(dial Dialer, database, role string) *conns {
	return &conns{dial: dial, database: database, role: role, creating: make(chan struct{}, 1)}
}

// A call is a query that runs.
type call struct {
	*h2rpc.Stream
	conns *conns
	conn  *conn
}

// release ends the call, if it has not ended, and gives its place on the connection
// back.
func (c *call) release() {
	if c.Stream != nil {
		c.Close()
	}
	c.conns.mu.Lock()
	defer c.conns.mu.Unlock()
	c.conn.streams--
}

// doubt says that the call was silent for too long, which may be the connection's
// fault.
func (c *call) doubt() { c.conn.rpc.Doubt() }

// open starts a query. It ends with ctx, and with release, which is to be called at
// its end.
func (c *conns) open(ctx context.Context, info Info, q query, heartbeat time.Duration) (*call, error) {
	session, err := c.sessionName(ctx)
	if err != nil {
		return nil, err
	}
	return c.begin(ctx, queryMethod, "session="+url.QueryEscape(session), info.request(session, q, heartbeat))
}

// begin starts a call of a method.
func (c *conns) begin(ctx context.Context, method, params string, request proto.Message) (*call, error) {
	raw, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	headers := []Header{{Name: "google-cloud-resource-prefix", Value: c.database}, {Name: "x-goog-request-params", Value: params}}
	if c.dial.Headers != nil {
		proof, err := c.dial.Headers(ctx)
		if err != nil {
			return nil, err
		}
		headers = append(headers, proof...)
	}
	cc, err := c.acquire(ctx)
	if err != nil {
		return nil, err
	}
	begun := &call{conns: c, conn: cc}
	if begun.Stream, err = cc.rpc.Open(ctx, method, headers, raw); err != nil {
		begun.release()
		return nil, err
	}
	return begun, nil
}

// acquire takes a place on a connection. The first few queries have one each, since
// queries that share one wait for each other to read it; then those are filled, and
// then others. It waits until the connection is made.
func (c *conns) acquire(ctx context.Context) (*conn, error) {
	cc := c.place()
	var err error
	select {
	case <-cc.made:
		err = cc.err
	case <-ctx.Done():
		err = status.FromContextError(ctx.Err()).Err()
	}
	if err != nil {
		(&call{conns: c, conn: cc}).release()
		return nil, err
	}
	return cc, nil
}

func (c *conns) place() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = slices.DeleteFunc(c.all, func(cc *conn) bool { return cc.limit() == 0 })
	few := 0
	for _, cc := range c.all {
		if cc.most == streamsPerFew {
			few++
		}
	}
	var best *conn
	for _, cc := range c.all {
		if cc.left() > 0 && (best == nil || cc.most < best.most || cc.most == best.most && cc.left() > best.left()) {
			best = cc
		}
	}
	if best == nil || few < fewConns && best.streams > 0 {
		best = &conn{made: make(chan struct{}), most: streamsPerConn}
		if few < fewConns {
			best.most = streamsPerFew
		}
		// It goes on when whoever wanted it has given up: the next will want it too.
		ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
		best.cancel = cancel
		c.all = append(c.all, best)
		go c.make(ctx, best)
	}
	best.streams++
	return best
}

// left is how many more queries a connection takes.
func (c *conn) left() int {
	return min(c.most, c.limit()) - c.streams
}

// limit is how many queries the server takes on a connection, as far as that is
// known; 0 when it takes none any more.
func (c *conn) limit() int {
	select {
	case <-c.made:
	default:
		return c.most
	}
	if c.err != nil {
		return 0
	}
	return c.rpc.Limit()
}

// make connects.
func (c *conns) make(ctx context.Context, cc *conn) {
	defer cc.cancel()
	defer close(cc.made)
	o := h2rpc.Options{Scheme: "http", Authority: c.dial.Authority, UserAgent: c.dial.UserAgent, Streams: cc.most, Window: streamWindow, ConnWindow: connWindow, MaxMessage: maxMessage}
	if c.dial.Secure {
		o.Scheme = "https"
	}
	nc, err := c.dial.Connect(ctx)
	if err == nil {
		cc.rpc, err = h2rpc.New(nc, o)
	}
	if err != nil {
		cc.err = status.Errorf(codes.Unavailable, "connect to %s: %v", c.dial.Authority, err)
	}
}

// sessionName returns the multiplexed session, and makes one when there is none
// or it is old.
func (c *conns) sessionName(ctx context.Context) (string, error) {
	if name := c.known(); name != "" {
		return name, nil
	}
	select {
	case c.creating <- struct{}{}:
	case <-ctx.Done():
		return "", status.FromContextError(ctx.Err()).Err()
	}
	defer func() { <-c.creating }()
	if name := c.known(); name != "" {
		return name, nil
	}
	var s spannerpb.Session
	err := c.ask(ctx, sessionMethod, "database="+url.QueryEscape(c.database), &spannerpb.CreateSessionRequest{
		Database: c.database, Session: &spannerpb.Session{Multiplexed: true, CreatorRole: c.role},
	}, &s)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.since = s.GetName(), time.Now()
	return c.session, nil
}

func (c *conns) known() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.since) < sessionLife {
		return c.session
	}
	return ""
}

// ask makes a call that is answered by one message.
func (c *conns) ask(ctx context.Context, method, params string, request, reply proto.Message) error {
	asked, err := c.begin(ctx, method, params, request)
	if err != nil {
		return err
	}
	defer asked.release()
	var m h2rpc.Message
	defer m.Release()
	if err := asked.Recv(&m); err != nil {
		if errors.Is(err, io.EOF) {
			err = status.Error(codes.Internal, "the server ended a call without an answer")
		}
		return err
	}
	if err := proto.Unmarshal(m.Bytes, reply); err != nil {
		return err
	}
	if err := asked.Recv(&m); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// forgetSessionIfGone makes the next query begin with a new session when the
// error says that the server does not know the one there is.
func (c *conns) forgetSessionIfGone(err error) {
	if status.Code(err) != codes.NotFound {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = ""
}

func (c *conns) close() {
	c.mu.Lock()
	all := c.all
	c.all = nil
	c.mu.Unlock()
	for _, cc := range all {
		cc.cancel()
		<-cc.made
		if cc.rpc != nil {
			cc.rpc.Close()
		}
	}
}
