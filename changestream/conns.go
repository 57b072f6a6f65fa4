package changestream

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A Dialer opens a connection to Spanner.
type Dialer func(ctx context.Context) (*grpc.ClientConn, error)

const (
	// streamsPerConn bounds the queries on one connection. Front ends allow 100
	// streams on each, and what is beyond waits without a word.
	streamsPerConn = 50
	// fewConns are the connections that are opened first, for fewer streams
	// each: a Dialer can give these wider windows. See connect.Dialer.
	fewConns      = 4
	streamsPerFew = 16
	// sessionLife is how long a multiplexed session is used. Spanner keeps them
	// for 28 days.
	sessionLife = 7 * 24 * time.Hour
	// maxMessage is the largest response that is accepted, in bytes. Spanner cuts
	// results into far smaller ones.
	maxMessage = 256 << 20

	queryMethod = "/google.spanner.v1.Spanner/ExecuteStreamingSql"
)

// conns are the connections that queries run on: four for 16 each, then one more
// for every 50 of them,
// all with one session.
type conns struct {
	dial     Dialer
	database string
	role     string
	codec    rawCodec

	mu      sync.Mutex
	all     []*conn
	session string
	since   time.Time
}

type conn struct {
	*grpc.ClientConn
	streams int
	most    int
}

func newConns(dial Dialer, database, role string) *conns {
	buffers := &sync.Pool{New: func() any { return new([]byte) }}
	return &conns{dial: dial, database: database, role: role, codec: rawCodec{buffers}}
}

// open starts a query. Its stream ends with ctx, which the caller must cancel;
// release is to be called then.
func (c *conns) open(ctx context.Context, info Info, q query, heartbeat time.Duration) (grpc.ClientStream, func(), error) {
	cc, err := c.acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	release := func() { c.release(cc) }
	session, err := c.sessionOn(ctx, cc)
	if err != nil {
		release()
		return nil, nil, err
	}
	stream, err := cc.NewStream(c.headers(ctx, "session="+url.QueryEscape(session)), &grpc.StreamDesc{ServerStreams: true}, queryMethod,
		grpc.ForceCodecV2(c.codec), grpc.MaxCallRecvMsgSize(maxMessage))
	if err == nil {
		err = stream.SendMsg(info.request(session, q, heartbeat))
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return stream, release, nil
}

// left is how many more queries a connection takes.
func (c *conn) left() int { return c.most - c.streams }

// acquire takes a place on the connection that has most left, or on a new one.
func (c *conns) acquire(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) > 0 {
		cc := slices.MaxFunc(c.all, func(a, b *conn) int { return a.left() - b.left() })
		for _, few := range c.all[:min(fewConns, len(c.all))] {
			if few.left() > 0 {
				cc = few
			}
		}
		if cc.left() > 0 {
			cc.streams++
			return cc, nil
		}
	}
	opened, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	cc := &conn{ClientConn: opened, streams: 1, most: streamsPerConn}
	if len(c.all) < fewConns {
		cc.most = streamsPerFew
	}
	c.all = append(c.all, cc)
	return cc, nil
}

// release gives a place back. Connections stay: partitions come in waves.
func (c *conns) release(cc *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cc.streams--
}

// sessionOn returns the multiplexed session, and makes one when there is none
// or it is old.
func (c *conns) sessionOn(ctx context.Context, cc *conn) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != "" && time.Since(c.since) < sessionLife {
		return c.session, nil
	}
	s, err := spannerpb.NewSpannerClient(cc).CreateSession(c.headers(ctx, "database="+url.QueryEscape(c.database)), &spannerpb.CreateSessionRequest{
		Database: c.database, Session: &spannerpb.Session{Multiplexed: true, CreatorRole: c.role},
	})
	if err != nil {
		return "", err
	}
	c.session, c.since = s.GetName(), time.Now()
	return c.session, nil
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

func (c *conns) headers(ctx context.Context, params string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", c.database, "x-goog-request-params", params)
}

func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cc := range c.all {
		cc.Close()
	}
	c.all = nil
}
