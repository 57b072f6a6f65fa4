package subscriber

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/spancast/spancast/message"
)

// BenchmarkMachine measures what a Subscriber adds to receiving a message: its
// frames go in, and the change comes out. Every 1000 messages something is
// resolved.
func BenchmarkMachine(b *testing.B) {
	o := Options{Connect: []string{"x"}, Topics: []string{"Orders/"}}.withDefaults()
	m := newMachine(o.config(), Position{}, discard)
	const epoch = "00112233445566ff"
	hello, _ := json.Marshal(message.HelloBody{Endpoints: []message.Endpoint{{Epoch: epoch}}})
	control := []byte(worldStart.String() + "/-/-/0 " + epoch + " 0/0 {}")
	m.live([]byte(message.Hello), control, hello, 0)
	m.live([]byte("Orders/$resolved/"), control, []byte(`{}`), 0)
	m.tick(0)
	m.take()
	if m.mode != flowing {
		b.Fatal(m.mode)
	}
	topic, body := []byte("Orders/UPDATE/"), make([]byte, 1000)
	headers := make([][]byte, b.N)
	for i := range headers {
		headers[i] = fmt.Appendf(nil, `%s/NTQ5MTAxNjk2MzM2OTMxOTM5NQ==/00000000/0 %s %d/%d/%d {"table":"Orders","op":"UPDATE","capture":"NEW_ROW","schema":"5e884898da280471","records":1,"partitions":1,"last":true}`,
			worldStart+stamp(i)*1000, epoch, i+1, i+1, i+1)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i, h := range headers {
		m.live(topic, h, body, 0)
		if m.next(0) == nil {
			b.Fatalf("message %d is not handed on: %+v", i, m.state())
		}
		m.done()
		if i%1000 == 999 {
			m.live([]byte("Orders/$resolved/"), fmt.Appendf(nil, "%s/-/-/0 %s %d/%d {}", worldStart, epoch, i+1, i+1), fmt.Appendf(nil, `{"fleet":%q}`, worldStart+stamp(i)*1000), 0)
		}
	}
	if m.stats.Changes != uint64(b.N) || m.seen.count > 5000 {
		b.Fatalf("%+v", m.state())
	}
}
