package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/spannerdb"
)

func TestKeys_AreOneIdentitysAndBounded(t *testing.T) {
	for dialect, code := range map[changestream.Dialect]databasepb.DatabaseDialect{
		changestream.GoogleSQL: databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL, changestream.PostgreSQL: databasepb.DatabaseDialect_POSTGRESQL,
	} {
		t.Run(string(dialect), func(t *testing.T) {
			db := spannerdb.New(t, spannerdb.Host(t), code, DDL("Test", dialect)...)
			keys := NewKeys(db.Client, "Test")
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
			key := func(n int, identity string, at time.Time) Key {
				return Key{PublicKey: strings.Repeat(fmt.Sprint(n), 40), Identity: identity, Audiences: []string{"orders"}, Topics: []string{"Orders/", ""},
					Tables: []string{}, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
			}
			put := func(k Key, want error) {
				t.Helper()
				if err := keys.Put(ctx, k, 2); !errors.Is(err, want) {
					t.Errorf("%s of %s: %v, want %v", k.PublicKey[:1], k.Identity, err, want)
				}
			}
			put(key(1, "alice", now), nil)
			put(key(2, "alice", now), nil)
			put(key(3, "alice", now), ErrTooMany)
			put(key(3, "bob", now), nil)
			put(key(1, "bob", now), ErrKeyTaken)
			put(key(1, "alice", now.Add(30*time.Minute)), nil)           // renewed
			put(key(1, "bob", now.Add(24*time.Hour)), ErrKeyTaken)       // even when it has expired
			put(key(4, "alice", now.Add(time.Hour+30*time.Minute)), nil) // the others have expired
			put(key(5, "alice", now.Add(time.Hour+31*time.Minute)), nil)
			put(key(6, "alice", now.Add(time.Hour+32*time.Minute)), ErrTooMany)
			all, err := keys.All(ctx)
			if err != nil || len(all) != 5 {
				t.Fatalf("%+v, %v", all, err)
			}
			if want := key(1, "alice", now.Add(30*time.Minute)); !reflect.DeepEqual(all[0], want) {
				t.Errorf("%+v\nwant %+v", all[0], want)
			}
		})
	}
}
