package checkpoint

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spancast/spancast/changestream"
)

// Memory is a store in this process, for a single replica that need not
// remember, and for tests.
type Memory struct {
	now        func() time.Time
	mu         sync.Mutex
	partitions rows
	replicas   map[string]changestream.Replica
	ended      []changestream.Replica
}

// NewMemory returns an empty store with a clock, for example time.Now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, partitions: make(rows), replicas: make(map[string]changestream.Replica)}
}

// View implements changestream.Store.
func (m *Memory) View(context.Context) (changestream.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.ended = slices.DeleteFunc(m.ended, func(r changestream.Replica) bool { return now.Sub(r.LastSeen) > changestream.EndedFor })
	return changestream.View{
		Now:        now,
		Ended:      slices.Clone(m.ended),
		Partitions: slices.Collect(maps.Values(m.partitions)),
		Replicas:   slices.Collect(maps.Values(m.replicas)),
	}, nil
}

// Present implements changestream.Store.
func (m *Memory) Present(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.replicas)), nil
}

// Commit implements changestream.Store.
func (m *Memory) Commit(_ context.Context, c changestream.Commit) (changestream.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := facts{planted: len(m.partitions) > 0, replicas: make(map[string]bool)}
	for id := range m.replicas {
		known.replicas[id] = true
	}
	writes, result := decide(maps.Clone(m.partitions), known, c)
	for _, w := range writes {
		if w.remove {
			delete(m.partitions, w.Token)
		} else {
			m.partitions[w.Token] = w.Partition
		}
	}
	if c.Replica != nil {
		m.replicas[c.Replica.ID] = *c.Replica
	}
	for _, id := range c.Gone {
		delete(m.replicas, id)
	}
	if r := c.Ended; r != nil {
		delete(m.replicas, r.ID)
		m.ended = append(m.ended, changestream.Replica{ID: endedPrefix + r.Epoch, Epoch: r.Epoch, LastSeen: c.Now})
	}
	return result, nil
}
