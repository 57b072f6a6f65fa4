package subscriber_test

import (
	"context"
	"fmt"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/subscriber"
)

// A publisher of one change stands for spancast serve.
func publishOne() (endpoint string, stop func()) {
	zctx, err := zmq.NewContext()
	if err != nil {
		panic(err)
	}
	socket, err := zctx.NewSocket(zmq.XPUB)
	if err != nil {
		panic(err)
	}
	socket.SetLinger(0)
	socket.SetRcvtimeo(10 * time.Second)
	socket.Bind("tcp://127.0.0.1:*")
	endpoint, _ = socket.GetLastEndpoint()
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			if asked, err := socket.RecvBytes(0); err != nil || string(asked) == "\x01Orders/" {
				break
			}
		}
		socket.SendMessage("$hello/", "2026-11-20T09:54:00.000000000Z/-/-/0 8f14e45fceea167a 0 {}", `{"format":1,"endpoints":[{"epoch":"8f14e45fceea167a"}]}`)
		socket.SendMessage("Orders/$resolved/", "2026-11-20T09:54:00.000000000Z/-/-/0 8f14e45fceea167a 0/0 {}", `{"dropped":0}`)
		socket.SendMessage("Orders/UPDATE/", `2026-11-20T09:54:00.123456000Z/NTQ5MTAx/00000000/0 8f14e45fceea167a 1/1/1 {"table":"Orders","op":"UPDATE"}`,
			`{"keys":{"OrderId":"42"},"new_values":{"Status":"paid"},"old_values":{"Status":"new"}}`)
	}()
	return endpoint, func() {
		<-done
		socket.Close()
		zctx.Term()
	}
}

func Example() {
	endpoint, stop := publishOne()
	defer stop()
	sub, err := subscriber.New(subscriber.Options{Connect: []string{endpoint}, Topics: []string{"Orders/"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = sub.Run(ctx, func(_ context.Context, c *subscriber.Change) error {
		fmt.Println(c.CommitTimestamp().Format(time.RFC3339Nano), c.Topic, string(c.Body))
		cancel()
		return nil
	})
	fmt.Println(err, sub.Stats().Changes)
	// Output:
	// 2026-11-20T09:54:00.123456Z Orders/UPDATE/ {"keys":{"OrderId":"42"},"new_values":{"Status":"paid"},"old_values":{"Status":"new"}}
	// <nil> 1
}
