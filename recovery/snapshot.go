package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/jsonscan"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/topics"
)

// readPrefix begins the transaction id in the versions of rows that a snapshot
// sends; the table follows. The record sequence is the row's key:
//
//	2026-11-20T09:54:00.123456000Z/$read.Orders/WyI0MiJd/0
//
// Rows come table by table, in the order of their names, and within a table in
// the order of its primary key, so that a version says where to go on.
const readPrefix = "$read."

const (
	// loadRows and loadBytes are how much of a snapshot is handed on at a time.
	loadRows  = 256
	loadBytes = 256 << 10
	// oldestRead is how old a snapshot can be unless the database is set to keep
	// versions for longer.
	oldestRead = time.Hour
)

// A snapshot is the work on an answer to a SnapshotRequest.
type snapshot struct {
	opt    *Options
	feed   *feed
	tables []string // that were asked for; empty: all
	at     time.Time
	from   place // behind a row; zero: at the beginning
	wanted wanted

	progress *changestream.Progress
	queue    queue
	schemas  changestream.Schemas
	planner  *topics.Planner
	body     publisher.Body
	load     *load
	record   changestream.DataChangeRecord
	change   publisher.Change
	mods     [1]changestream.Mod
	text     []byte // of the values of the latest row
}

// A place is where a snapshot goes on: behind a row of a table.
type place struct {
	table string
	key   key
}

// placeOf reads the version of a row.
func placeOf(text string) (at time.Time, p place, err error) {
	v, err := message.ParseVersion([]byte(text))
	if err == nil {
		at, err = v.Time()
	}
	table, ok := strings.CutPrefix(v.ServerTransactionID, readPrefix)
	if err != nil || !ok {
		return at, p, errors.New("after is not the version of a snapshot's row")
	}
	p.table = table
	p.key, err = parseKey(v.RecordSequence)
	return at, p, err
}

// run reads all tables at one timestamp.
func (s *snapshot) run(ctx context.Context) (*control, error) {
	now, err := look(ctx, s.opt.Client)
	if err != nil {
		return nil, err
	}
	if s.at.After(now.read) {
		return nil, badRequest(fmt.Sprintf("at is in the future; it is %s", message.FormatTime(now.read)))
	}
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	bound := spanner.StrongRead()
	if !s.at.IsZero() {
		bound = spanner.ReadTimestamp(s.at)
	}
	tx, err := s.opt.Client.BatchReadOnlyTransaction(ctx, bound)
	if err != nil {
		return nil, s.tooOld(err, now)
	}
	defer tx.Close()
	if s.at, err = tx.Timestamp(); err != nil {
		return nil, err
	}
	s.begin()
	for i := range list {
		if err := s.table(ctx, tx, &list[i]); err != nil {
			return nil, s.tooOld(err, now)
		}
	}
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	return &control{topic: message.End, body: message.EndBody{Next: message.FormatTime(after(s.at))}}, nil
}

// begin says that the turn has come, and prepares what all rows share.
func (s *snapshot) begin() {
	s.feed.say(message.Begin, message.BeginBody{BodyFormat: s.opt.BodyFormat, At: message.FormatTime(s.at)})
	s.progress = changestream.NewProgress(s.at)
	s.feed.pass(false, func() time.Time { return s.at })
	s.planner, s.body = s.opt.Router().Planner(), s.opt.NewBody()
	s.record = changestream.DataChangeRecord{CommitTimestamp: s.at, ModType: topics.Read, ValueCaptureType: changestream.NewRow, Mods: s.mods[:]}
	s.change.Record = &s.record
}

// list returns the tables to be read, from the one where to go on.
func (s *snapshot) list(ctx context.Context) ([]table, error) {
	all, err := catalog{client: s.opt.Client, info: s.opt.Info}.tables(ctx, s.opt.Ignore)
	if err != nil {
		return nil, err
	}
	for _, name := range s.tables {
		if !slices.ContainsFunc(all, func(t table) bool { return t.name == name }) {
			return nil, badRequest(fmt.Sprintf("the change stream does not watch a table %q", name))
		}
	}
	return slices.DeleteFunc(all, func(t table) bool {
		return t.name < s.from.table || len(s.tables) > 0 && !slices.Contains(s.tables, t.name)
	}), nil
}

// tooOld looks whether what an error says is that the timestamp is too old.
func (s *snapshot) tooOld(err error, now clock) error {
	code := spanner.ErrCode(err)
	if code == codes.NotFound && !s.at.IsZero() {
		return badRequest("a table that is watched now was not there at " + message.FormatTime(s.at))
	}
	if s.at.IsZero() || code != codes.FailedPrecondition && code != codes.OutOfRange && code != codes.InvalidArgument || now.now().Sub(s.at) < oldestRead {
		return err
	}
	return &goneError{from: s.at, oldest: now.now().Add(-oldestRead)}
}

// table reads one table.
func (s *snapshot) table(ctx context.Context, tx *spanner.BatchReadOnlyTransaction, t *table) error {
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = c.name
	}
	keys := spanner.AllKeys()
	if s.from.table == t.name {
		if len(s.from.key) != t.keys {
			return badRequest("after is not the version of a row of this table")
		}
		keys = spanner.KeyRange{Start: s.from.key.spanner(), Kind: spanner.OpenClosed}
	}
	partitions, err := tx.PartitionReadWithOptions(ctx, t.name, keys, columns, spanner.PartitionOptions{}, spanner.ReadOptions{RequestTag: "spancast-snapshot"})
	if err != nil {
		return err
	}
	if partitions, err = inKeyOrder(ctx, tx, t, partitions); err != nil {
		return err
	}
	s.record.Schema = nil
	s.record.ServerTransactionID = []byte(readPrefix + t.name)
	for _, p := range partitions {
		err := tx.Execute(ctx, p).Do(func(row *spanner.Row) error { return s.row(ctx, t, row) })
		if err != nil {
			return err
		}
	}
	return nil
}

// row adds a row to the load.
func (s *snapshot) row(ctx context.Context, t *table, row *spanner.Row) error {
	if s.record.Schema == nil {
		schema, err := s.schemaOf(t, row)
		if err != nil {
			return err
		}
		s.record.Schema = schema
	}
	s.record.RecordSequence = append(s.record.RecordSequence[:0], keyOf(t, row).String()...)
	s.text = appendObject(s.text[:0], t, row, t.byName[0])
	keys := len(s.text)
	s.text = appendObject(s.text, t, row, t.byName[1])
	s.mods[0] = changestream.Mod{Keys: s.text[:keys:keys], NewValues: s.text[keys:], OldValues: []byte("{}")}
	if s.load == nil {
		s.load = s.feed.load()
	}
	if err := s.load.Add(&s.change, s.planner, s.body, &s.wanted); err != nil {
		return err
	}
	if s.load.Len() >= loadRows || s.load.Size() >= loadBytes {
		return s.flush(ctx)
	}
	return nil
}

func keyOf(t *table, row *spanner.Row) key {
	out := make(key, t.keys)
	for i := range out {
		out[i] = row.ColumnValue(i)
	}
	return out
}

// typesOf are the types of the key columns.
func typesOf(t *table, row *spanner.Row) []*spannerpb.Type {
	out := make([]*spannerpb.Type, t.keys)
	for i := range out {
		out[i] = row.ColumnType(i)
	}
	return out
}

// appendObject writes columns of a row as a JSON object.
func appendObject(dst []byte, t *table, row *spanner.Row, columns []int) []byte {
	dst = append(dst, '{')
	for n, i := range columns {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendString(dst, t.columns[i].name), ':')
		dst = appendValue(dst, row.ColumnValue(i))
	}
	return append(dst, '}')
}

// schemaOf is the schema that a change of the whole row would have.
func (s *snapshot) schemaOf(t *table, row *spanner.Row) (*changestream.Schema, error) {
	columns := make([]changestream.Column, len(t.columns))
	for i, c := range t.columns {
		columns[i] = changestream.Column{Name: c.name, Type: typeJSON(row.ColumnType(i)), IsPrimaryKey: i < t.keys, OrdinalPosition: c.ordinal}
	}
	return s.schemas.Intern(t.name, columns)
}

// flush hands the load on.
func (s *snapshot) flush(ctx context.Context) error {
	l := s.load
	if l == nil || l.Len() == 0 {
		return nil
	}
	s.load = nil
	return s.feed.push(ctx, &s.queue, l, changestream.Mark{Progress: s.progress, Position: s.at})
}

// inKeyOrder sorts the partitions of a read by their first rows. Spanner cuts a
// table into ranges of its key, and says nothing of the order in which it names
// them. Those that are empty are left out.
func inKeyOrder(ctx context.Context, tx *spanner.BatchReadOnlyTransaction, t *table, all []*spanner.Partition) ([]*spanner.Partition, error) {
	if len(all) < 2 {
		return all, nil
	}
	type part struct {
		*spanner.Partition
		first key
	}
	var parts []part
	var types []*spannerpb.Type
	for _, p := range all {
		it := tx.Execute(ctx, p)
		row, err := it.Next()
		it.Stop()
		if err == iterator.Done {
			continue
		}
		if err != nil {
			return nil, err
		}
		if types == nil {
			types = typesOf(t, row)
		}
		parts = append(parts, part{p, keyOf(t, row)})
	}
	slices.SortFunc(parts, func(a, b part) int { return a.first.compare(b.first, types, t.columns) })
	all = all[:0]
	for _, p := range parts {
		all = append(all, p.Partition)
	}
	return all, nil
}
