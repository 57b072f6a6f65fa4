package engine

import (
	"strconv"
	"sync"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

// CommitOptions are what a commit carries besides its mutations.
type CommitOptions struct {
	Tag     string
	Exclude bool // leave out of change streams that allow it
	System  bool
	Unbound bool // by the number of mutations, as partitioned DML is
}

// maxMutations is how many mutations a commit may have.
const maxMutations = 80_000

// Committed tells of a commit.
type Committed struct {
	At        time.Time
	Mutations int64 // columns and deletes written, as commit statistics count them
}

// Commit applies mutations after the transaction's own writes and makes all of
// it visible at one new timestamp, or nothing at all.
func (t *Txn) Commit(mutations []*sppb.Mutation, o CommitOptions) (Committed, error) {
	if !t.priority {
		t.db.turn.wait()
	}
	db := t.db
	db.mu.Lock()
	defer db.mu.Unlock()
	if t.schema != db.Schema() {
		return Committed{}, Aborted("the schema has changed")
	}
	if !t.validate() {
		return Committed{}, Aborted("data that it read has changed")
	}
	t.locked, t.at = true, db.issue()
	for _, m := range mutations {
		if err := t.apply(m); err != nil {
			return Committed{}, err
		}
	}
	if err := t.resolve(); err != nil {
		return Committed{}, err
	}
	if err := t.references(); err != nil {
		return Committed{}, err
	}
	entries, err := t.indexEntries()
	if err != nil {
		return Committed{}, err
	}
	if n := t.mutationCount() + int64(len(entries)); n > maxMutations && !o.Unbound {
		return Committed{}, status.Errorf(codes.InvalidArgument, "The transaction contains too many mutations (%d). Insert and update operations count with the multiplicity of the number of columns they affect. (Maximum number: %d)", n, maxMutations)
	}
	if db.taken(t, entries) {
		return Committed{}, Aborted("another transaction has its commit timestamp")
	}
	db.publish(t, entries, o)
	return Committed{At: changes.Time(t.at), Mutations: t.mutationCount()}, nil
}

// resolve puts the commit timestamp where DML left its placeholder. A row whose
// key has one gets its key only now.
func (t *Txn) resolve() error {
	for _, p := range t.list {
		if p.new == nil || !hasCommitTime(p.new) {
			continue
		}
		row := append([]any(nil), p.new...)
		for i, v := range row {
			if _, ok := v.(value.CommitTime); ok {
				row[i] = changes.Time(t.at)
			}
		}
		p.new = row
		if key := string(p.table.AppendKey(nil, row)); key != p.key {
			if t.get(p.table, key) != nil {
				return status.Errorf(codes.AlreadyExists, "Table %s: Row %s already exists.", p.table.Name, describeKey(p.table, row))
			}
			b := t.buffers[p.table.ID]
			delete(b.byKey, p.key)
			b.sorted = nil
			p.key = key
			b.byKey[key] = p
		}
	}
	return nil
}

func hasCommitTime(row []any) bool {
	for _, v := range row {
		if _, ok := v.(value.CommitTime); ok {
			return true
		}
	}
	return false
}

// taken reports whether a row that is written already has a version at the
// commit timestamp, which can be only where timestamps are shared.
func (db *Database) taken(t *Txn, entries []indexEntry) bool {
	if t.at > db.last {
		return false
	}
	clash := func(table uint32, key string) bool {
		rows := db.tables[table]
		if rows == nil {
			return false
		}
		_, at := rows.Get(key, store.Max)
		return at >= t.at
	}
	for _, p := range t.list {
		if clash(p.table.ID, p.key) {
			return true
		}
	}
	for _, e := range entries {
		if clash(e.index.ID, e.key) {
			return true
		}
	}
	return false
}

// publish writes all versions and records the changes.
func (db *Database) publish(t *Txn, entries []indexEntry, o CommitOptions) {
	db.last = max(db.last, t.at)
	txn := changes.Txn{At: t.at, ID: db.txnID(), Tag: o.Tag, System: o.System, Exclude: o.Exclude}
	if len(db.streams) > 0 {
		txn.Changes = make([]changes.Change, 0, len(t.list))
	}
	for _, p := range t.list {
		if p.old == nil && p.new == nil {
			continue
		}
		db.put(p.table.ID, p.key, p.new, t.at)
		if len(db.streams) > 0 {
			txn.Changes = appendChanges(txn.Changes, p)
		}
	}
	for _, e := range entries {
		db.put(e.index.ID, e.key, e.row, t.at)
	}
	db.collect(t.at)
	if len(txn.Changes) == 0 {
		return
	}
	for _, s := range db.streams {
		s.Append(t.schema, &txn)
	}
}

// txnID is unlike every other server transaction id.
func (db *Database) txnID() string {
	db.txns++
	return strconv.FormatUint(db.txns, 10)
}

// appendChanges is the net effect of a transaction on a row: one change, or
// DELETE and INSERT for a row that was deleted and made again.
func appendChanges(out []changes.Change, p *pending) []changes.Change {
	c := changes.Change{Table: p.table, Key: changes.PartitionKey(p.table, p.key), Old: p.old, New: p.new, Written: p.written}
	switch {
	case p.old == nil:
		c.Type = changes.Insert
	case p.new == nil:
		c.Type = changes.Delete
	case p.recreated:
		c.Type, c.New = changes.Delete, nil
		out = append(out, c)
		c.Type, c.Old, c.New = changes.Insert, nil, p.new
	default:
		c.Type = changes.Update
	}
	return append(out, c)
}

func (db *Database) put(table uint32, key string, row []any, at store.Timestamp) {
	rows := db.tables[table]
	if rows == nil {
		return
	}
	if rows.Put(key, row, at) {
		db.garbage.push(shadow{table, key, at})
	}
}

func (t *Txn) mutationCount() (n int64) {
	for _, p := range t.list {
		switch {
		case p.new == nil:
			n++
		case p.old == nil:
			n += int64(len(p.table.Columns))
		default:
			for _, c := range p.table.Columns {
				if c.IsKey || p.written.Has(c.Slot) {
					n++
				}
			}
		}
	}
	return n
}

// turn lets a transaction that was aborted again and again commit before
// others: they wait for it, but never for long.
type turn struct {
	mu     sync.Mutex
	holder *Txn
	free   chan struct{}
}

const maxTurn = 250 * time.Millisecond

func (u *turn) wait() {
	u.mu.Lock()
	free := u.free
	u.mu.Unlock()
	if free == nil {
		return
	}
	timer := time.NewTimer(maxTurn)
	defer timer.Stop()
	select {
	case <-free:
	case <-timer.C:
	}
}

// Prioritise gives the transaction the turn, if it is free.
func (t *Txn) Prioritise() {
	u := &t.db.turn
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.holder == nil {
		u.holder, u.free, t.priority = t, make(chan struct{}), true
	}
}

// Release ends the transaction's turn; every transaction is released once it
// has ended, however it ended.
func (t *Txn) Release() {
	u := &t.db.turn
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.holder == t {
		close(u.free)
		u.holder, u.free = nil, nil
	}
}

// backfill rewrites rows of a table in a system transaction, which change
// streams see, when a column with a default is added.
func (db *Database) backfill(sch *schema.Schema, table *schema.Table, added []*schema.Column) error {
	t := &Txn{db: db, schema: sch, at: db.event(), locked: true, buffers: map[uint32]*buffer{}}
	var keys []string
	t.Scan(table, "", "", func(key string, _ []any) bool {
		keys = append(keys, key)
		return true
	})
	for _, key := range keys {
		values := make([]any, len(added))
		for i, c := range added {
			v, err := c.Default(nil)
			if err != nil {
				return err
			}
			values[i] = v
		}
		if _, err := t.Update(table, key, added, values); err != nil {
			return err
		}
	}
	db.publish(t, nil, CommitOptions{System: true})
	return nil
}
