package changestream

import (
	"fmt"
	"testing"
)

// BenchmarkShare_Fleet is what a look costs each replica of a large fleet that has
// lost one of its own: 100,000 partitions, of which a twentieth have no owner.
func BenchmarkShare_Fleet(b *testing.B) {
	const partitions, replicas = 100_000, 20
	var members []member
	for i := range replicas - 1 {
		members = append(members, member{id: fmt.Sprintf("replica-%02d", i), owns: partitions / replicas})
	}
	token := func(i int) PartitionToken { return PartitionToken(fmt.Sprintf("token-%06d", i)) }
	var unowned, own []PartitionToken
	for i := range partitions / replicas {
		unowned, own = append(unowned, token(i)), append(own, token(partitions+i))
	}
	for b.Loop() {
		if p := share("replica-07", members, unowned, own); len(p.take) == 0 || p.beyond > 0 {
			b.Fatalf("%d to take, %d beyond", len(p.take), p.beyond)
		}
	}
}
