package subscriber_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber"
)

// BenchmarkReceive measures what receiving a message costs with a plain loop, and
// with a Subscriber, in one run. The messages are all in the socket's queue
// before the clock starts, so that nothing but the receiver is measured.
func BenchmarkReceive(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		p := newBenchPublisher(b)
		sub, err := p.ctx.NewSocket(zmq.SUB)
		must(b, err)
		defer sub.Close()
		must(b, errors.Join(sub.SetRcvhwm(0), sub.SetSubscribe("Orders/"), sub.Connect(p.endpoint)))
		p.subscribed()
		p.fill(b.N)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			frames, err := sub.RecvMessageBytes(0)
			if err != nil || len(frames) != 3 {
				b.Fatal(len(frames), err)
			}
		}
	})
	b.Run("subscriber", func(b *testing.B) {
		p := newBenchPublisher(b)
		s, err := subscriber.New(subscriber.Options{Connect: []string{p.endpoint}, Topics: []string{"Orders/"}, Queue: 1 << 30, Remember: 1 << 30})
		must(b, err)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		began, filled, done, n := make(chan bool), make(chan bool), make(chan error, 1), 0
		go func() {
			done <- s.Run(ctx, func(context.Context, *subscriber.Change) error {
				if n++; n == 1 {
					close(began)
					<-filled
				}
				if n == b.N+1 {
					cancel()
				}
				return nil
			})
		}()
		p.subscribed()
		p.hello()
		p.change(1)
		<-began
		p.fill(b.N)
		b.ReportAllocs()
		b.ResetTimer()
		close(filled)
		must(b, <-done)
	})
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// A benchPublisher publishes changes of one row.
type benchPublisher struct {
	b        *testing.B
	ctx      *zmq.Context
	socket   *zmq.Socket
	endpoint string
	count    int
}

func newBenchPublisher(b *testing.B) *benchPublisher {
	b.Helper()
	ctx, err := zmq.NewContext()
	must(b, err)
	p := &benchPublisher{b: b, ctx: ctx}
	p.socket, err = ctx.NewSocket(zmq.XPUB)
	must(b, err)
	must(b, errors.Join(p.socket.SetSndhwm(0), p.socket.SetLinger(0), p.socket.Bind("tcp://127.0.0.1:*")))
	p.endpoint, err = p.socket.GetLastEndpoint()
	must(b, err)
	b.Cleanup(func() {
		p.socket.Close()
		go ctx.Term()
	})
	return p
}

// subscribed waits for the subscription to Orders/.
func (p *benchPublisher) subscribed() {
	for {
		f, err := p.socket.RecvBytes(0)
		must(p.b, err)
		if string(f) == "\x01Orders/" {
			return
		}
	}
}

func (p *benchPublisher) send(topic, header, body string) {
	_, err := p.socket.SendMessage(topic, header, body)
	must(p.b, err)
}

func (p *benchPublisher) hello() {
	control := message.ControlVersion(time.Now()) + " 00112233445566ff "
	p.send("Orders/$resolved/", control+"0/0 {}", `{"dropped":0}`)
	p.send("$hello/", control+"0 {}", `{"format":1,"endpoints":[{"epoch":"00112233445566ff"}]}`)
}

var benchBody = `{"keys":{"Id":"42"},"new_values":{"Note":"` + strings.Repeat("n", 900) + `"},"old_values":{}}`

func (p *benchPublisher) change(n int) {
	p.count++
	at := message.FormatTime(time.Unix(1795168440, int64(p.count)*1000))
	p.send("Orders/UPDATE/", fmt.Sprintf(`%s/NTQ5MTAxNjk2MzM2OTMxOTM5NQ==/00000000/0 00112233445566ff %d/%d/%d {"table":"Orders","op":"UPDATE","capture":"NEW_ROW","schema":"5e884898da280471","records":1,"partitions":1,"last":true}`, at, p.count, p.count, p.count), benchBody)
}

// fill sends n changes and waits until they have arrived in the other socket:
// the kernel has had nothing under way for a while.
func (p *benchPublisher) fill(n int) {
	for i := range n {
		p.change(i)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for quiet := 0; quiet < 10; <-tick.C {
		if quiet++; p.underWay() {
			quiet = 0
		}
	}
}

// underWay tells whether the kernel holds bytes of a connection to the publisher.
func (p *benchPublisher) underWay() bool {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		p.b.Skip("needs /proc")
	}
	n, err := strconv.Atoi(p.endpoint[strings.LastIndexByte(p.endpoint, ':')+1:])
	must(p.b, err)
	port := fmt.Sprintf(":%04X", n)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // number, our address, the other's, state, bytes to send and to receive
		if len(f) > 4 && f[3] == "01" && (strings.HasSuffix(f[1], port) || strings.HasSuffix(f[2], port)) && f[4] != "00000000:00000000" {
			return true
		}
	}
	return false
}
