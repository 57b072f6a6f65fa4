package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/spanner"
	"github.com/spancast/spancast/test/wait"
)

// A write is one change of one row that was committed, or may have been.
type write struct {
	identity
	row   string
	at    time.Time // of the commit; zero if that is not known
	maybe bool      // the commit failed, and the row does not show it; it may come all the same
}

// A workload commits transactions and remembers them. Each row belongs to one
// writer, so that the order of its changes is known.
type workload struct {
	client *spanner.Client
	number atomic.Int64 // of the latest write

	mu     sync.Mutex
	writes []*write       // since the last take; those of a row in order
	errors map[string]int // commits whose outcome had to be looked up, by error code
}

// tables are alike: Id INT64 key, V INT64.
var tables = [...]string{"Orders", "Users"}

// rowsEach is the number of rows of each writer in each table.
const rowsEach = 24

// run writes until stop is closed: one transaction every pause.
func (w *workload) run(seed uint64, writers int, pause time.Duration, stop <-chan struct{}) (join func()) {
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			one := &writer{workload: w, number: n, of: writers, random: rand.New(rand.NewPCG(seed, uint64(n)))}
			one.learn()
			wait.Repeat(pause, stop, one.transact)
		})
	}
	return all.Wait
}

// take returns the writes since the last call.
func (w *workload) take() []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.writes
	w.writes = nil
	return out
}

// pending returns the writes that must be published and were not seen yet.
func (w *workload) pending(seen func(identity) bool) (out []*write) {
	w.mu.Lock()
	writes := w.writes[:len(w.writes):len(w.writes)]
	w.mu.Unlock()
	for _, wr := range writes {
		if !wr.maybe && !seen(wr.identity) {
			out = append(out, wr)
		}
	}
	return out
}

// A writer has rows of its own.
type writer struct {
	*workload
	number, of int
	random     *rand.Rand
	rows       map[string]int64 // what they hold; absent rows are not there
}

func rowName(table string, id int64) string { return fmt.Sprintf("%s %d", table, id) }

// id is the i-th row of the writer. Rows of all writers lie among each other.
func (w *writer) id(i int) int64 { return int64(i*w.of + w.number) }

// transact commits changes of one to three rows.
func (w *writer) transact() {
	var mutations []*spanner.Mutation
	var writes []*write
	after := make(map[string]int64)
	for range 1 + w.random.IntN(3) {
		table, id := tables[w.random.IntN(len(tables))], w.id(w.random.IntN(rowsEach))
		row := rowName(table, id)
		if _, twice := after[row]; twice {
			continue
		}
		old, exists := w.rows[row]
		number := w.workload.number.Add(1)
		columns, values := []string{"Id", "V"}, []any{id, number}
		switch {
		case !exists:
			mutations = append(mutations, spanner.Insert(table, columns, values))
			writes = append(writes, &write{row: row, identity: identity{"INSERT", number}})
		case w.random.IntN(4) == 0:
			mutations = append(mutations, spanner.Delete(table, spanner.Key{id}))
			writes = append(writes, &write{row: row, identity: identity{"DELETE", old}})
			number = 0
		default:
			mutations = append(mutations, spanner.Update(table, columns, values))
			writes = append(writes, &write{row: row, identity: identity{"UPDATE", number}})
		}
		after[row] = number
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	at, err := w.client.Apply(ctx, mutations)
	if err != nil {
		w.resolve(err, writes, after)
	}
	for row, number := range after {
		if w.rows[row] = number; number == 0 {
			delete(w.rows, row)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wr := range writes {
		wr.at = at
	}
	w.writes = append(w.writes, writes...)
}

// resolve finds out whether a commit that failed was one. If the rows do not
// show it, its changes are marked, and after says what the rows hold instead.
func (w *writer) resolve(err error, writes []*write, after map[string]int64) {
	w.mu.Lock()
	w.errors[spanner.ErrCode(err).String()]++
	w.mu.Unlock()
	stored := w.read()
	committed := true
	for row, number := range after {
		committed = committed && stored[row] == number
		after[row] = stored[row]
	}
	for _, wr := range writes {
		wr.maybe = !committed
	}
}

// learn looks at the rows as they are.
func (w *writer) learn() { w.rows = w.read() }

// read reads the writer's rows, and tries until that works.
func (w *writer) read() map[string]int64 {
	for {
		rows, err := w.readOnce()
		if err == nil {
			return rows
		}
	}
}

func (w *writer) readOnce() (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rows := make(map[string]int64)
	for _, table := range tables {
		var keys []spanner.KeySet
		for i := range rowsEach {
			keys = append(keys, spanner.Key{w.id(i)})
		}
		err := w.client.Single().Read(ctx, table, spanner.KeySets(keys...), []string{"Id", "V"}).Do(func(r *spanner.Row) error {
			var id, number int64
			err := r.Columns(&id, &number)
			rows[rowName(table, id)] = number
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}
