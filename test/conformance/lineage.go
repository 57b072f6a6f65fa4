package conformance

import (
	"context"
	"sync"
	"testing"
	"time"
)

// lineage follows every partition of a stream from the first generation on.
type lineage struct {
	f        *fixture
	deadline time.Time
	mu       sync.Mutex
	wait     sync.WaitGroup
	seen     map[string]*node
	commits  map[time.Time]int
	errs     []error
}

// node is one partition as its own query and its parents' child records tell.
type node struct {
	start, end time.Time
	parents    []string
	children   []string
}

// generations is cases 109 and 135 to 137: while rows are committed, every
// partition is read to its end over some generations.
func generations(ctx context.Context, t *testing.T, f *fixture) {
	const span = 8 * time.Second // two churns at least, where one comes every one to three seconds
	start := f.commit
	l := &lineage{f: f, seen: map[string]*node{}, commits: map[time.Time]int{}}
	written := make(chan map[time.Time]bool)
	until := time.Now().Add(span)
	go func() { written <- f.write(ctx, until) }()
	l.deadline = until.Add(time.Second)
	roots, err := f.rows(ctx, Query{Start: start})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens(roots) {
		l.follow(ctx, token, start, nil)
	}
	commits := <-written
	l.wait.Wait()
	for _, err := range l.errs {
		t.Error(err)
	}
	for at := range commits {
		// Google's emulator reads its log in slices, and a record exactly at the
		// end of one is skipped now and then: there a rare loss is only told.
		if n := l.commits[at]; n == 0 && f.server.Kind == Google && len(l.commits) >= len(commits)*99/100 {
			t.Logf("known difference: commit at %s was skipped; production: every commit is seen once", at)
		} else if n != 1 {
			t.Errorf("commit at %s seen %d times", at, n)
		}
	}
	if len(commits) < 10 {
		t.Fatalf("only %d commits", len(commits))
	}
	l.check(t, start)
}

// write commits rows one after the other and returns the commit timestamps.
func (f *fixture) write(ctx context.Context, until time.Time) map[time.Time]bool {
	commits := map[time.Time]bool{f.commit.UTC(): true}
	for id := int64(100); time.Now().Before(until); id++ {
		if f.put(ctx, "test_table", id) != nil {
			return commits
		}
		commits[f.commit.UTC()] = true
	}
	return commits
}

// follow starts reading a partition unless that was done before.
func (l *lineage) follow(ctx context.Context, token string, start time.Time, parents []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[token] != nil {
		return
	}
	l.seen[token] = &node{start: start, parents: parents}
	l.wait.Go(func() { l.read(ctx, token, start) })
}

func (l *lineage) read(ctx context.Context, token string, start time.Time) {
	if start.After(l.deadline) {
		return
	}
	err := RunQuery(ctx, l.f.conn, Query{Stream: l.f.stream, Start: start, End: l.deadline, Token: token}, func(row Row) error {
		l.mu.Lock()
		if row.Data != nil {
			l.commits[row.Data.CommitTimestamp]++
		}
		if row.Child != nil {
			l.seen[token].end = row.Child.Start
			for _, p := range row.Child.Partitions {
				l.seen[token].children = append(l.seen[token].children, p.Token)
			}
		}
		l.mu.Unlock()
		if row.Child != nil {
			for _, p := range row.Child.Partitions {
				l.follow(ctx, p.Token, row.Child.Start, p.Parents)
			}
		}
		return nil
	})
	if err != nil {
		l.mu.Lock()
		l.errs = append(l.errs, err)
		l.mu.Unlock()
	}
}

// check holds the lineage to cases 135 to 137.
func (l *lineage) check(t *testing.T, start time.Time) {
	splits, merges, ended := 0, 0, 0
	for token, n := range l.seen {
		if !n.end.IsZero() {
			ended++
		}
		if len(n.children) > 1 {
			splits++
		}
		if len(n.parents) > 1 {
			merges++
		}
		for _, parent := range n.parents {
			p := l.seen[parent]
			if p == nil || !p.end.Equal(n.start) {
				t.Errorf("partition starts at %s, parent %+v", n.start, p)
				continue
			}
			listed := false
			for _, child := range p.children {
				listed = listed || child == token
			}
			if !listed {
				t.Error("a parent does not list its child")
			}
		}
	}
	if ended < 2 || splits == 0 || merges == 0 {
		t.Errorf("of %d partitions %d ended, %d splits, %d merges from %s on", len(l.seen), ended, splits, merges, start)
	}
}
