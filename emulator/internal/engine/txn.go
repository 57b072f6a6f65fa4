package engine

import (
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// Txn is a transaction, or a read at one timestamp. A read-write transaction
// reads a snapshot, remembers what it read, keeps its writes to itself, and at
// commit is refused as ABORTED when anything that it read has changed since.
// Its methods are called by one goroutine at a time.
type Txn struct {
	db           *Database
	schema       *schema.Schema
	at           store.Timestamp // of the snapshot; of the commit once locked
	readOnly     bool
	pinned       bool // the snapshot has been taken
	locked       bool // the database's lock is held: read the latest state
	keys         map[tableKey]struct{}
	spans        []tableSpan
	buffers      map[uint32]*buffer
	list         []*pending        // in order of the first write
	removed      map[tableKey]bool // rows that were named for deletion; false: inserted again
	removedSpans []tableSpan
	stale        atomic.Bool // versions that the snapshot needs were forgotten
	priority     bool
}

type tableKey struct {
	table uint32
	key   string
}

type tableSpan struct {
	table    uint32
	from, to string
}

func (s tableSpan) has(k tableKey) bool {
	return s.table == k.table && k.key >= s.from && (s.to == "" || k.key < s.to)
}

// pending is the net effect of a transaction on one row.
type pending struct {
	table     *schema.Table
	key       string
	old, new  []any // nil: no row
	written   changes.Slots
	recreated bool // deleted and inserted again
}

// buffer is the pending rows of one table.
type buffer struct {
	byKey  map[string]*pending
	sorted []*pending
}

// Begin starts a read-write transaction. Its snapshot is taken by its first
// read: one that only writes has none and cannot conflict.
func (db *Database) Begin() *Txn {
	return &Txn{db: db, schema: db.Schema(), keys: map[tableKey]struct{}{}, buffers: map[uint32]*buffer{}}
}

// Snapshot is a read-only transaction at a timestamp.
func (db *Database) Snapshot(at store.Timestamp) *Txn {
	return &Txn{db: db, schema: db.Schema(), at: at, readOnly: true, pinned: true}
}

// Schema is the catalogue that the transaction works with.
func (t *Txn) Schema() *schema.Schema { return t.schema }

// ReadTimestamp is when the transaction's snapshot was taken.
func (t *Txn) ReadTimestamp() store.Timestamp {
	t.pin()
	return t.at
}

// pin takes the snapshot if there is none yet.
func (t *Txn) pin() {
	if !t.pinned && !t.locked {
		t.at, t.pinned = t.db.StrongRead(), true
	}
}

// ReadOnly reports whether the transaction cannot write.
func (t *Txn) ReadOnly() bool { return t.readOnly }

// Restart takes a new snapshot and forgets reads and writes: what a client
// expects of a transaction whose first statement failed.
func (t *Txn) Restart() {
	t.pinned, t.keys, t.spans, t.buffers, t.list = false, map[tableKey]struct{}{}, nil, map[uint32]*buffer{}, nil
	t.removed, t.removedSpans = nil, nil
	t.stale.Store(false)
}

func (t *Txn) rlock() {
	if !t.locked {
		t.db.mu.RLock()
	}
}

func (t *Txn) runlock() {
	if !t.locked {
		t.db.mu.RUnlock()
	}
}

// readAt is what reads of the store see.
func (t *Txn) readAt() store.Timestamp {
	if t.locked {
		return store.Max
	}
	return t.at
}

// checkHorizon notices when versions that the snapshot needs are gone.
func (t *Txn) checkHorizon() {
	if !t.locked && t.at < t.db.horizon {
		t.stale.Store(true)
	}
}

// Valid is an error once rows that the transaction read may have been wrong
// because its snapshot is older than what is kept. It is asked after reading.
func (t *Txn) Valid() error {
	switch {
	case !t.stale.Load():
		return nil
	case t.readOnly:
		return status.Errorf(codes.FailedPrecondition, "Cannot read at timestamp %s any more: it is before the earliest version that is kept.", changes.Time(t.at))
	}
	return Aborted("its snapshot is older than what is kept")
}

// pad gives a row that was stored before columns were added its new slots.
func pad(table *schema.Table, row []any) []any {
	if row == nil || len(row) >= table.Slots {
		return row
	}
	out := make([]any, table.Slots)
	copy(out, row)
	return out
}

// get reads one row with the transaction's own writes.
func (t *Txn) get(table *schema.Table, key string) []any {
	if b := t.buffers[table.ID]; b != nil {
		if p := b.byKey[key]; p != nil {
			return p.new
		}
	}
	return t.stored(table, key)
}

// stored reads one row without them.
func (t *Txn) stored(table *schema.Table, key string) []any {
	t.pin()
	if !t.readOnly && !t.locked {
		t.keys[tableKey{table.ID, key}] = struct{}{}
	}
	t.rlock()
	defer t.runlock()
	t.checkHorizon()
	rows := t.db.tables[table.ID]
	if rows == nil {
		return nil
	}
	row, _ := rows.Get(key, t.readAt())
	return pad(table, row)
}

const scanBatch = 256

type keyed struct {
	key string
	row []any
}

// Scan calls each with the rows of [from, to) in key order, the transaction's
// own writes among them, until each returns false.
func (t *Txn) Scan(table *schema.Table, from, to string, each func(key string, row []any) bool) {
	own := t.overlay(table.ID, from, to)
	t.scan(table.ID, from, to, func(key string, row []any) bool {
		for len(own) > 0 && own[0].key < key {
			p := own[0]
			own = own[1:]
			if p.new != nil && !each(p.key, p.new) {
				return false
			}
		}
		if len(own) > 0 && own[0].key == key {
			p := own[0]
			own = own[1:]
			return p.new == nil || each(key, p.new)
		}
		return each(key, pad(table, row))
	}, func() bool {
		for _, p := range own {
			if p.new != nil && !each(p.key, p.new) {
				return false
			}
		}
		return true
	})
}

// scan reads the store in batches, so that the lock is never held while a
// caller works; finish is called at the end of the range.
func (t *Txn) scan(table uint32, from, to string, each func(string, []any) bool, finish func() bool) {
	t.pin()
	if !t.readOnly && !t.locked {
		t.spans = append(t.spans, tableSpan{table, from, to})
	}
	batch := make([]keyed, 0, scanBatch)
	for {
		batch = batch[:0]
		t.rlock()
		t.checkHorizon()
		if rows := t.db.tables[table]; rows != nil {
			rows.Scan(from, to, t.readAt(), func(key string, row store.Row) bool {
				batch = append(batch, keyed{key, row})
				return len(batch) < scanBatch
			})
		}
		t.runlock()
		for _, k := range batch {
			if !each(k.key, k.row) {
				return
			}
		}
		if len(batch) < scanBatch {
			finish()
			return
		}
		from = batch[len(batch)-1].key + "\x00"
	}
}

// overlay lists the transaction's own rows of a range in key order.
func (t *Txn) overlay(table uint32, from, to string) []*pending {
	b := t.buffers[table]
	if b == nil {
		return nil
	}
	if len(b.sorted) != len(b.byKey) {
		b.sorted = b.sorted[:0]
		for _, p := range b.byKey {
			b.sorted = append(b.sorted, p)
		}
		slices.SortFunc(b.sorted, func(x, y *pending) int { return strings.Compare(x.key, y.key) })
	}
	i, _ := slices.BinarySearchFunc(b.sorted, from, func(p *pending, key string) int { return strings.Compare(p.key, key) })
	j := len(b.sorted)
	if to != "" {
		j, _ = slices.BinarySearchFunc(b.sorted, to, func(p *pending, key string) int { return strings.Compare(p.key, key) })
	}
	return slices.Clone(b.sorted[i:max(i, j)])
}

// row finds or makes the pending row of a key.
func (t *Txn) row(table *schema.Table, key string) *pending {
	b := t.buffers[table.ID]
	if b == nil {
		b = &buffer{byKey: map[string]*pending{}}
		t.buffers[table.ID] = b
	}
	p := b.byKey[key]
	if p == nil {
		old := t.stored(table, key)
		p = &pending{table: table, key: key, old: old, new: old}
		b.byKey[key] = p
		t.list = append(t.list, p)
	}
	return p
}

// validate reports whether what the transaction read is still so.
func (t *Txn) validate() bool {
	for k := range t.keys {
		if rows := t.db.tables[k.table]; rows != nil && rows.Last() > t.at {
			if _, written := rows.Get(k.key, t.at); written > t.at {
				return false
			}
		}
	}
	for _, s := range t.spans {
		if rows := t.db.tables[s.table]; rows != nil && rows.Changed(s.from, s.to, t.at) {
			return false
		}
	}
	return true
}

// Aborted is the error of a transaction that must be run again.
func Aborted(why string) error {
	return status.Errorf(codes.Aborted, "Transaction was aborted: %s.", why)
}
