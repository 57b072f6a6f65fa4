package connect

import (
	"context"
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// Reach checks that somebody speaks HTTP/2 where the configuration says, if it names
// a place: clients of Spanner try for ever, and do not say why.
func Reach(ctx context.Context, t config.Target) error {
	if t.Endpoint == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	nc, err := Dialer(t).Connect(ctx)
	if err == nil {
		err = greet(ctx, nc)
	}
	if err != nil {
		return &changestream.Error{Op: "connect to", Thing: "Spanner at " + t.Endpoint, Cause: changestream.Unreachable, Err: plainError(err)}
	}
	return nil
}

// greet begins HTTP/2, waits until the server does, and closes the connection.
func greet(ctx context.Context, nc net.Conn) error {
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer nc.Close()
	_, err := io.WriteString(nc, http2.ClientPreface)
	if err == nil {
		err = http2.NewFramer(nc, nil).WriteSettings()
	}
	var first http2.FrameHeader
	if err == nil {
		first, err = http2.ReadFrameHeader(nc)
	}
	switch ended := !stop(); {
	case ended && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errSilent
	case ended:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return errors.New("the server closed the connection instead of beginning HTTP/2")
	case err == nil && first.Type != http2.FrameSettings:
		return errNoHTTP2
	}
	return err
}

// plainError leaves out what net puts around the reason.
func plainError(err error) error {
	if op, ok := err.(*net.OpError); ok && op.Err != nil {
		return op.Err
	}
	return err
}
