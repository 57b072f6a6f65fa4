// Package engine is one Spanner database in memory: rows in versions, optimistic
// transactions, constraints, secondary indexes, and change streams fed by every
// commit.
//
// One lock orders everything. Commits, schema changes and the issue of
// timestamps hold it for writing; reads hold it for reading, a batch of rows at
// a time. Locks are taken in this order: a transaction's own, the database's, a
// stream's.
package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
)

// Config is what a database is made with.
type Config struct {
	Now func() time.Time
	// Retention is how long old versions can be read, Versions how many of
	// them are kept at most.
	Retention time.Duration
	Versions  int
	// SharedTimestamps lets transactions have one commit timestamp when they
	// come within a millisecond and touch different rows.
	SharedTimestamps func() bool
	// Stream configures change streams.
	Stream changes.Config
}

// Database is one database.
type Database struct {
	Name    string // projects/P/instances/I/databases/D
	Created time.Time
	config  Config

	mu      sync.RWMutex
	schema  atomic.Pointer[schema.Schema]
	tables  map[uint32]*store.Table // of tables and indexes
	streams map[string]*changes.Stream
	last    store.Timestamp // the latest one issued
	closed  store.Timestamp // no commit may be at or before it
	horizon store.Timestamp // reads before it may miss versions
	garbage queue
	txns    uint64
	ids     atomic.Int64 // of IDENTITY columns
	turn    turn
}

// New makes an empty database.
func New(name string, sch *schema.Schema, config Config) *Database {
	db := &Database{Name: name, Created: config.Now(), config: config, tables: map[uint32]*store.Table{}, streams: map[string]*changes.Stream{}}
	db.schema.Store(sch)
	db.txns = uint64(config.Now().UnixNano()) // so that ids differ between databases and starts
	return db
}

// Schema is the catalogue as it is now.
func (db *Database) Schema() *schema.Schema { return db.schema.Load() }

// Now is the database's time.
func (db *Database) Now() time.Time { return db.config.Now() }

// Close gives the latest timestamp, but none after to or the clock, at or
// before which no further commit will come.
func (db *Database) Close(to store.Timestamp) store.Timestamp {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.close(to)
}

func (db *Database) close(to store.Timestamp) store.Timestamp {
	at := min(to, max(db.last, store.Timestamp(db.Now().UnixMicro())))
	db.closed = max(db.closed, at)
	return at
}

// issue gives a commit timestamp.
func (db *Database) issue() store.Timestamp {
	now := store.Timestamp(db.Now().UnixMicro())
	if db.config.SharedTimestamps != nil && db.config.SharedTimestamps() {
		shared := now - now%1000
		return max(shared, db.last, db.closed+1)
	}
	return max(now, db.last+1, db.closed+1)
}

// StrongRead gives the timestamp of a strong read made now.
func (db *Database) StrongRead() store.Timestamp { return db.Close(store.Max) }

// CheckRead refuses timestamps whose versions may be gone.
func (db *Database) CheckRead(at store.Timestamp) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if at < db.horizon || at < store.Timestamp(db.Now().Add(-db.config.Retention).UnixMicro()) && at < store.Timestamp(db.Created.UnixMicro()) {
		return status.Errorf(codes.FailedPrecondition, "Cannot read at timestamp %s: it is before the earliest version that is kept.", changes.Time(at))
	}
	return nil
}

// Stream finds a change stream by name; nil when there is none.
func (db *Database) Stream(name string) *changes.Stream {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.streams[db.Schema().Fold(name)]
}

// Streams lists all change streams.
func (db *Database) Streams() []*changes.Stream {
	db.mu.RLock()
	defer db.mu.RUnlock()
	out := make([]*changes.Stream, 0, len(db.streams))
	for _, s := range db.streams {
		out = append(out, s)
	}
	return out
}

// Churn changes key ranges of a stream at a timestamp of its own.
func (db *Database) Churn(name string, kind changes.Kind, token string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.streams[db.Schema().Fold(name)]
	if s == nil {
		return fmt.Errorf("change stream %s: not found", name)
	}
	return s.Churn(kind, token, db.event())
}

// Balance lets a stream split and merge by load.
func (db *Database) Balance(s *changes.Stream, high float64, elapsed time.Duration) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return s.Balance(high, elapsed, db.event())
}

// event issues a timestamp that nothing else will have.
func (db *Database) event() store.Timestamp {
	at := max(store.Timestamp(db.Now().UnixMicro()), db.last+1, db.closed+1)
	db.last, db.closed = at, at
	return at
}

// Shutdown ends all running change stream queries.
func (db *Database) Shutdown() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, s := range db.streams {
		s.Drop()
	}
}

// queue remembers which keys have versions that can be forgotten later.
type queue struct {
	items []shadow
	head  int
}

type shadow struct {
	table uint32
	key   string
	at    store.Timestamp
}

func (q *queue) push(s shadow) {
	if q.head > len(q.items)/2 && q.head > 1024 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, s)
}

func (q *queue) len() int { return len(q.items) - q.head }

// collect forgets versions that are old, or too many.
func (db *Database) collect(now store.Timestamp) {
	old := now - store.Timestamp(db.config.Retention/time.Microsecond)
	for q := &db.garbage; q.len() > 0; q.head++ {
		s := &q.items[q.head]
		if s.at >= old && q.len() <= db.config.Versions {
			return
		}
		db.horizon = max(db.horizon, s.at)
		if t := db.tables[s.table]; t != nil {
			t.Prune(s.key, s.at)
		}
		*s = shadow{}
	}
}

// AppendLoad feeds a stream with n records made of a template, all at one
// timestamp that no commit has.
func (db *Database) AppendLoad(s *changes.Stream, t *changes.Template, n int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	s.AppendLoad(t, n, db.event())
}
