// Package spannercursor keeps the positions of subscribers in a Spanner table,
// one row a subscriber:
//
//	cursor := spannercursor.New(client, "SubscriberCursors", "search-index")
//	sub, err := subscriber.New(subscriber.Options{Cursor: cursor, CursorInterval: 10 * time.Second, …})
//
// DDL has the statement that makes the table. It should not be in a database
// whose change stream watches it: every saved position would be a change.
// Two subscribers that run at one time must not share a name.
package spannercursor

import (
	"context"
	"errors"
	"fmt"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/subscriber"
)

// DDL returns the statements that make the table, in GoogleSQL and PostgreSQL.
func DDL(table string) (google, postgres string) {
	return "CREATE TABLE " + table + ` (
  Name STRING(MAX) NOT NULL,
  Position STRING(MAX) NOT NULL,
  UpdatedAt TIMESTAMP NOT NULL OPTIONS (allow_commit_timestamp = true)
) PRIMARY KEY (Name)`, `CREATE TABLE "` + table + `" (
  "Name" varchar NOT NULL,
  "Position" text NOT NULL,
  "UpdatedAt" spanner.commit_timestamp NOT NULL,
  PRIMARY KEY ("Name")
)`
}

// A Cursor is a row of the table. It implements subscriber.Cursor.
type Cursor struct {
	client *spanner.Client
	table  string
	name   string
}

// New returns the cursor of a name.
func New(client *spanner.Client, table, name string) *Cursor {
	return &Cursor{client: client, table: table, name: name}
}

// Load implements subscriber.Cursor.
func (c *Cursor) Load(ctx context.Context) (p subscriber.Position, err error) {
	row, err := c.client.Single().ReadRow(ctx, c.table, spanner.Key{c.name}, []string{"Position"})
	if errors.Is(err, spanner.ErrRowNotFound) {
		return p, nil
	}
	var text string
	if err == nil {
		err = row.Columns(&text)
	}
	if err == nil {
		err = p.UnmarshalText([]byte(text))
	}
	if err != nil {
		return subscriber.Position{}, fmt.Errorf("load the cursor %q from table %s: %w", c.name, c.table, err)
	}
	return p, nil
}

// Save implements subscriber.Cursor.
func (c *Cursor) Save(ctx context.Context, p subscriber.Position) error {
	text, err := p.MarshalText()
	if err == nil {
		_, err = c.client.Apply(ctx, []*spanner.Mutation{spanner.InsertOrUpdate(c.table, []string{"Name", "Position", "UpdatedAt"},
			[]any{c.name, string(text), spanner.CommitTimestamp})}, spanner.TransactionTag("spancast-cursor"))
	}
	if err != nil {
		return fmt.Errorf("save the cursor %q in table %s: %w", c.name, c.table, err)
	}
	return nil
}
