package changestream

import (
	"testing"
	"time"
)

// BenchmarkProgress_Alive is what fencing costs for each message.
func BenchmarkProgress_Alive(b *testing.B) {
	p := NewProgress(time.Now())
	p.Lease(time.Now().Add(time.Hour))
	for b.Loop() {
		if !p.Alive() {
			b.Fatal("not alive")
		}
	}
}
