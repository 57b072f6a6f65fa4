package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/spancast/spancast/changestream"
)

// A Key is a public key that was enrolled, with what its owner may have.
type Key struct {
	PublicKey string // 40 characters of Z85
	Identity  string
	Audiences []string
	Topics    []string
	Tables    []string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Errors of Put.
var (
	ErrKeyTaken = errors.New("the key is somebody else's")
	ErrTooMany  = errors.New("too many keys of one identity")
)

// Keys are the enrolled keys, in a table that Spanner itself clears of those that
// have expired.
type Keys struct {
	client *spanner.Client
	table  string
}

// NewKeys returns the keys of the tables with a prefix.
func NewKeys(client *spanner.Client, prefix string) *Keys {
	return &Keys{client: client, table: TablesOf(prefix).Keys}
}

var keyColumns = []string{"PublicKey", "Identity", "Audiences", "TopicPrefixes", "TableNames", "CreatedAt", "ExpiresAt"}

// All reads the keys, expired ones too if they are still there.
func (k *Keys) All(ctx context.Context) ([]Key, error) {
	rows := k.client.Single().ReadWithOptions(ctx, k.table, spanner.AllKeys(), keyColumns,
		&spanner.ReadOptions{Priority: spannerpb.RequestOptions_PRIORITY_MEDIUM, RequestTag: "spancast-keys"})
	out, err := scanKeys(rows)
	return out, changestream.Classify("read", "table "+k.table, err)
}

func scanKeys(rows *spanner.RowIterator) ([]Key, error) {
	var out []Key
	err := rows.Do(func(row *spanner.Row) error {
		var key Key
		err := row.Columns(&key.PublicKey, &key.Identity, &key.Audiences, &key.Topics, &key.Tables, &key.CreatedAt, &key.ExpiresAt)
		out = append(out, key)
		return err
	})
	return out, err
}

// Put stores a key, or renews it. An identity has at most a number of keys that
// have not expired at key.CreatedAt, and nobody gets a key that another identity
// has, not even one that has expired: ErrTooMany, ErrKeyTaken.
func (k *Keys) Put(ctx context.Context, key Key, most int) error {
	var refused error
	_, err := k.client.ReadWriteTransactionWithOptions(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		all, err := scanKeys(tx.Read(ctx, k.table, spanner.AllKeys(), keyColumns))
		if err != nil {
			return err
		}
		if refused = admissible(all, key, most); refused != nil {
			return nil
		}
		return tx.BufferWrite([]*spanner.Mutation{spanner.InsertOrUpdate(k.table, keyColumns, []any{
			key.PublicKey, key.Identity, present(key.Audiences), present(key.Topics), present(key.Tables), key.CreatedAt, key.ExpiresAt})})
	}, spanner.TransactionOptions{TransactionTag: "spancast-enroll", ExcludeTxnFromChangeStreams: true})
	if err != nil {
		return changestream.Classify("write", "table "+k.table, err)
	}
	return refused
}

// present makes a list that is not NULL.
func present(list []string) []string { return append([]string{}, list...) }

func admissible(all []Key, key Key, most int) error {
	n := 0
	for _, old := range all {
		switch {
		case old.PublicKey == key.PublicKey && old.Identity != key.Identity:
			return ErrKeyTaken
		case old.PublicKey != key.PublicKey && old.Identity == key.Identity && old.ExpiresAt.After(key.CreatedAt):
			n++
		}
	}
	if n >= most {
		return fmt.Errorf("%w: %d", ErrTooMany, n)
	}
	return nil
}
