package changestream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	"google.golang.org/api/iterator"
)

// Dialect is the SQL dialect of a database.
type Dialect string

// The dialects, as information_schema.database_options names them.
const (
	GoogleSQL  Dialect = "GOOGLE_STANDARD_SQL"
	PostgreSQL Dialect = "POSTGRESQL"
)

// Info is what the database says of a change stream.
type Info struct {
	Database   string // projects/P/instances/I/databases/D
	Stream     string // its name, as it was created
	Dialect    Dialect
	WatchesAll bool // FOR ALL
	Retention  time.Duration
	// MutableKeyRange streams have partitions whose key range may change.
	MutableKeyRange bool
}

// DialectOf asks a database for its dialect.
func DialectOf(ctx context.Context, client *spanner.Client) (Dialect, error) {
	rows, err := pairs(ctx, client, `SELECT option_name, option_value FROM information_schema.database_options`, nil)
	if err != nil {
		return "", newError("look into", "database "+client.DatabaseName(), err)
	}
	for _, row := range rows {
		if row[0] == "database_dialect" && row[1] == string(PostgreSQL) {
			return PostgreSQL, nil
		}
	}
	return GoogleSQL, nil
}

// Describe looks a change stream up. The name may differ in case from the one
// that the stream was created with, if that leaves no doubt.
func Describe(ctx context.Context, client *spanner.Client, name string) (Info, error) {
	info := Info{Database: client.DatabaseName(), Retention: 24 * time.Hour}
	var err error
	if info.Dialect, err = DialectOf(ctx, client); err != nil {
		return info, err
	}
	if err = info.findStream(ctx, client, name); err != nil {
		return info, err
	}
	return info, info.readOptions(ctx, client)
}

func (info *Info) findStream(ctx context.Context, client *spanner.Client, name string) error {
	all := "CAST(`ALL` AS STRING)"
	if info.Dialect == PostgreSQL {
		all = `"all"`
	}
	rows, err := pairs(ctx, client, `SELECT change_stream_name, `+all+` FROM information_schema.change_streams`, nil)
	if err != nil {
		return newError("look for", "change stream "+name, err)
	}
	var known []string
	for _, row := range rows {
		known = append(known, row[0])
		if row[0] != name && (info.Stream == name || !strings.EqualFold(row[0], name)) {
			continue
		}
		info.Stream, info.WatchesAll = row[0], row[1] == "true" || row[1] == "YES"
	}
	if info.Stream == "" {
		return &Error{Op: "look for", Thing: "change stream " + name, Cause: NoStream, Err: fmt.Errorf("%s has %s", info.Database, orNone(known))}
	}
	return nil
}

func orNone(streams []string) string {
	if len(streams) == 0 {
		return "no change streams"
	}
	return "only " + strings.Join(streams, ", ")
}

func (info *Info) readOptions(ctx context.Context, client *spanner.Client) error {
	param := "@stream"
	args := map[string]any{"stream": info.Stream}
	if info.Dialect == PostgreSQL {
		param, args = "$1", map[string]any{"p1": info.Stream}
	}
	rows, err := pairs(ctx, client, `SELECT option_name, option_value FROM information_schema.change_stream_options WHERE change_stream_name = `+param, args)
	if err != nil {
		return newError("read the options of", "change stream "+info.Stream, err)
	}
	for _, row := range rows {
		switch row[0] {
		case "retention_period":
			if d, err := parseRetention(row[1]); err == nil {
				info.Retention = d
			}
		case "partition_mode":
			info.MutableKeyRange = strings.Contains(row[1], "MUTABLE_KEY_RANGE") && !strings.Contains(row[1], "IMMUTABLE")
		}
	}
	return nil
}

// parseRetention reads what Go calls a duration, and days as well.
func parseRetention(s string) (time.Duration, error) {
	s = strings.Trim(s, `'" `)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		h, err := time.ParseDuration(days + "h")
		return 24 * h, err
	}
	return time.ParseDuration(s)
}

// pairs runs a query that returns two columns of strings.
func pairs(ctx context.Context, client *spanner.Client, sql string, params map[string]any) ([][2]string, error) {
	it := client.Single().Query(ctx, spanner.Statement{SQL: sql, Params: params})
	defer it.Stop()
	var out [][2]string
	for {
		row, err := it.Next()
		if err == iterator.Done {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		var a, b spanner.NullString
		if err := row.Columns(&a, &b); err != nil {
			return nil, err
		}
		out = append(out, [2]string{a.StringVal, b.StringVal})
	}
}
