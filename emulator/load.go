package emulator

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// Load is a synthetic load: records of inserts that are put into a change
// stream without rows being written, to find out what a reader can take.
type Load struct {
	Database string // projects/P/instances/I/databases/D
	Stream   string // in partition mode IMMUTABLE_KEY_RANGE
	Table    string // watched by the stream; its first key column is INT64 or STRING
	// Rate in records a second; 0: as fast as they can be made, but never far
	// ahead of the queries that run.
	Rate int
	// Records to make in all; 0: until the context ends.
	Records int
	// TextBytes is the length of the values of STRING and BYTES columns; 100 when 0.
	TextBytes int
	// Mods of a record, each of another row; 1 when 0.
	Mods int
	// Keys is how many different rows the records are about; 0: none comes twice.
	Keys int
}

// check finds what is wrong but for the rate, which a Command takes otherwise.
func (l Load) check(f *findings) {
	f.check(l.Records >= 0, "Records", "load-records", "%d is negative", l.Records)
	f.check(l.TextBytes >= 0 && l.TextBytes <= 1<<20, "TextBytes", "load-text-bytes", "%d is not between 0 and 1048576", l.TextBytes)
	f.check(l.Mods >= 0 && l.Mods <= 10_000, "Mods", "load-mods", "%d is not between 0 and 10000", l.Mods)
	f.check(l.Keys >= 0, "Keys", "load-keys", "%d is negative", l.Keys)
}

const (
	loadBatch = 64      // records that share a timestamp and a lock, if they are not larger together than
	loadBytes = 3 << 19 // so many bytes; after as many the load looks whether it is ahead
	loadAhead = 32      // blocks of 256 KiB that the load may be ahead of the slowest running query, if so many are kept
)

// Load makes the load until it is complete or the context ends, which is not
// an error. It returns how many records were made.
func (s *Server) Load(ctx context.Context, l Load) (int, error) {
	db, err := s.api.Database(l.Database)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	stream, table := db.Stream(l.Stream), db.Schema().Table(l.Table)
	if stream == nil || table == nil {
		return 0, fmt.Errorf("load: database %s has no change stream %q or no table %q", l.Database, l.Stream, l.Table)
	}
	wrong := findings{name: byField}
	wrong.check(l.Rate >= 0, "Rate", "", "%d is negative", l.Rate)
	l.check(&wrong)
	if err := wrong.join(); err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	template, err := stream.Template(db.Schema(), table, l.row(table), max(l.Mods, 1), l.Keys)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	batch := max(1, min(loadBatch, loadBytes/template.Size()))
	made, unchecked, started := 0, 0, time.Now()
	for ctx.Err() == nil && (l.Records == 0 || made < l.Records) {
		n := batch
		if l.Records > 0 {
			n = min(n, l.Records-made)
		}
		db.AppendLoad(stream, template, n)
		made += n
		l.pace(ctx, started, made)
		if unchecked += n * template.Size(); l.Rate > 0 || unchecked < loadBytes {
			continue
		}
		for unchecked = 0; stream.Behind(loadAhead) && ctx.Err() == nil; {
			rest(ctx, 200*time.Microsecond)
		}
	}
	return made, nil
}

// minNap is the shortest wait that is worth a system call.
const minNap = 100 * time.Microsecond

// pace waits while the load is ahead of its rate.
func (l Load) pace(ctx context.Context, started time.Time, made int) {
	if l.Rate == 0 {
		return
	}
	due := started.Add(time.Duration(float64(made) / float64(l.Rate) * float64(time.Second)))
	wait := time.Until(due)
	switch {
	case wait >= time.Millisecond:
		rest(ctx, wait)
	case wait > minNap:
		nap(wait)
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// row is the row that all records show, with the mark in its first key column.
func (l Load) row(table *schema.Table) []any {
	length := l.TextBytes
	if length == 0 {
		length = 100
	}
	row := make([]any, table.Slots)
	for _, c := range table.Columns {
		row[c.Slot] = sample(c, length)
	}
	first := table.Key[0].Column
	switch first.Type.Code {
	case sppb.TypeCode_INT64:
		row[first.Slot] = changes.KeyMark
	case sppb.TypeCode_STRING:
		row[first.Slot] = strconv.FormatInt(changes.KeyMark, 10)
	}
	return row
}

// sample is some value of a column's type.
func sample(c *schema.Column, length int) any {
	if c.Size > 0 {
		length = min(length, int(c.Size))
	}
	switch c.Type.Code {
	case sppb.TypeCode_BOOL:
		return true
	case sppb.TypeCode_INT64:
		return int64(123456789)
	case sppb.TypeCode_FLOAT64:
		return 1.25
	case sppb.TypeCode_FLOAT32:
		return float32(1.25)
	case sppb.TypeCode_STRING:
		return strings.Repeat("x", length)
	case sppb.TypeCode_BYTES:
		return value.Bytes(strings.Repeat("x", length))
	case sppb.TypeCode_TIMESTAMP:
		return time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	case sppb.TypeCode_DATE:
		return value.Date(20000)
	case sppb.TypeCode_NUMERIC:
		return big.NewRat(5, 4)
	case sppb.TypeCode_JSON:
		return value.JSON(`{"a":1}`)
	}
	return nil
}
