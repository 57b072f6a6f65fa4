package checkpoint

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/spannerdb"
)

// BenchmarkSpanner measures a look at a thousand partitions, and the renewal of
// all of them, with client and server in this process.
func BenchmarkSpanner(b *testing.B) {
	ctx := context.Background()
	const database = "projects/p/instances/i/databases/m"
	server, client := spannerdb.Embedded(b, emulator.Options{}, database, emulator.GoogleSQL, DDL("Test", changestream.GoogleSQL)...)
	store := NewSpanner(client, changestream.Info{Database: database, Stream: "S"}, "Test")
	now := server.Now().Truncate(time.Microsecond)
	roots := changestream.Commit{Owner: "me", Now: now}
	renewal := changestream.Commit{Owner: "me", Now: now}
	for i := range 1000 {
		p := changestream.Partition{Token: changestream.PartitionToken(fmt.Sprintf("%0128d", i)), Start: now, Position: now, State: changestream.Running, Owner: "me", Epoch: 1, Expiry: now.Add(time.Hour)}
		roots.Roots = append(roots.Roots, p)
		renewal.Updates = append(renewal.Updates, changestream.Update{Token: p.Token, Epoch: 1})
	}
	if _, err := store.Commit(ctx, roots); err != nil {
		b.Fatal(err)
	}
	b.Run("View", func(b *testing.B) {
		for b.Loop() {
			if v, err := store.View(ctx); err != nil || len(v.Partitions) != 1000 {
				b.Fatal(err, len(v.Partitions))
			}
		}
	})
	b.Run("Present", func(b *testing.B) {
		for b.Loop() {
			if _, err := store.Present(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Renew", func(b *testing.B) {
		for b.Loop() {
			now = now.Add(time.Second)
			for i := range renewal.Updates {
				renewal.Updates[i].Position, renewal.Updates[i].Expiry = now, now.Add(time.Hour)
			}
			if r, err := store.Commit(ctx, renewal); err != nil || len(r.Lost) > 0 {
				b.Fatal(err, len(r.Lost))
			}
		}
	})
}
