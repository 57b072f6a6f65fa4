// Package store keeps rows in many versions: one ordered map of encoded keys a
// table, each key with its versions by commit timestamp.
//
// It does no locking. Whoever holds a Table makes sure that nobody writes while
// others read; what is read of a version is never changed afterwards.
package store

import (
	"github.com/google/btree"
)

// Row is the values of a row by slot, or what an index entry points to. Rows
// are not changed once they are in the store.
type Row []any

// Timestamp is a commit timestamp in microseconds since 1970.
type Timestamp int64

// Max is later than every commit.
const Max Timestamp = 1<<63 - 1

type version struct {
	at   Timestamp
	row  Row // nil: deleted
	prev *version
}

type item struct {
	key  string
	head *version
}

// Table is the rows of one table, or the entries of one index.
type Table struct {
	tree *btree.BTreeG[*item]
	last Timestamp // of the latest write
	live int
}

// NewTable makes an empty table.
func NewTable() *Table {
	return &Table{tree: btree.NewG(32, func(a, b *item) bool { return a.key < b.key })}
}

// Last is the timestamp of the latest write.
func (t *Table) Last() Timestamp { return t.last }

// Len is the number of rows in the latest version.
func (t *Table) Len() int { return t.live }

// Get reads a row as of a timestamp; nil when there is none. The second value
// is the timestamp of the latest write to the key, whatever it was.
func (t *Table) Get(key string, at Timestamp) (Row, Timestamp) {
	it, ok := t.tree.Get(&item{key: key})
	if !ok {
		return nil, 0
	}
	return it.at(at), it.head.at
}

func (it *item) at(at Timestamp) Row {
	for v := it.head; v != nil; v = v.prev {
		if v.at <= at {
			return v.row
		}
	}
	return nil
}

// Scan calls each with the rows of [from, to) as of a timestamp in key order
// until each returns false; an empty to is the end of the table.
func (t *Table) Scan(from, to string, at Timestamp, each func(key string, row Row) bool) {
	t.tree.AscendGreaterOrEqual(&item{key: from}, func(it *item) bool {
		if to != "" && it.key >= to {
			return false
		}
		if row := it.at(at); row != nil {
			return each(it.key, row)
		}
		return true
	})
}

// Changed reports whether anything in [from, to) was written after since.
func (t *Table) Changed(from, to string, since Timestamp) bool {
	if t.last <= since {
		return false
	}
	changed := false
	t.tree.AscendGreaterOrEqual(&item{key: from}, func(it *item) bool {
		if to != "" && it.key >= to {
			return false
		}
		changed = it.head.at > since
		return !changed
	})
	return changed
}

// Put writes a version; a nil row deletes. Timestamps must not go back. It
// reports whether an older version is now shadowed.
func (t *Table) Put(key string, row Row, at Timestamp) (shadowed bool) {
	t.last = max(t.last, at)
	it, ok := t.tree.Get(&item{key: key})
	if !ok {
		if row != nil {
			t.tree.ReplaceOrInsert(&item{key: key, head: &version{at: at, row: row}})
			t.live++
		}
		return false
	}
	if (it.head.row == nil) != (row == nil) {
		t.live += map[bool]int{true: -1, false: 1}[row == nil]
	}
	it.head = &version{at: at, row: row, prev: it.head}
	return true
}

// Prune forgets the versions of a key that no read at or after keep can see,
// and the key itself when it is deleted.
func (t *Table) Prune(key string, keep Timestamp) {
	it, ok := t.tree.Get(&item{key: key})
	if !ok {
		return
	}
	for v := it.head; v != nil; v = v.prev {
		if v.at <= keep {
			v.prev = nil
			break
		}
	}
	if it.head.row == nil && it.head.at <= keep {
		t.tree.Delete(it)
	}
}
