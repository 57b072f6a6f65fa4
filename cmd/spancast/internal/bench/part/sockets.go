package part

import (
	"context"
	"fmt"

	"github.com/spancast/spancast/cmd/spancast/internal/bench/cloop"
)

// subscriber receives everything, in C.
type subscriber struct{ r *cloop.Receiver }

func newSubscriber(q *Request) (worker, error) {
	prefixes := q.Prefixes
	for i := range q.Filler {
		prefixes = append(prefixes, fmt.Sprintf("none/%07d/", i))
	}
	r, err := cloop.NewReceiver(q.Endpoint, q.Sockets, prefixes, q.Keys)
	return &subscriber{r}, err
}

func (s *subscriber) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.r.Stop)()
	return s.r.Run()
}

func (s *subscriber) status(out *Status) {
	c := s.r.Counts()
	out.Messages, out.Bytes, out.Controls, out.Least, out.Latency, out.Frames = c.Messages, c.Bytes, c.Controls, c.Least, c.Latency, s.r.Sample()
}

// bare is libzmq with nothing around it.
type bare struct {
	s             *cloop.Sender
	subscriptions int
}

func newBare(q *Request) (worker, error) {
	s, err := cloop.NewSender("tcp://127.0.0.1:*", q.IOThreads, q.Rate, q.Frames, q.Keys)
	return &bare{s, q.Sockets * (len(q.Prefixes) + q.Filler)}, err
}

func (b *bare) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, b.s.Stop)()
	return b.s.Run(b.subscriptions)
}

func (b *bare) status(out *Status) { out.Messages, out.Endpoint = b.s.Messages(), b.s.Endpoint() }
