package access

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spancast/spancast/test/wait"
)

// TestWatch_FollowsItsSources: files that change, and keys that are enrolled; what
// has faults leaves the old in force.
func TestWatch_FollowsItsSources(t *testing.T) {
	dir, one, two, ann := t.TempDir(), newKey(t), newKey(t), newKey(t).Public()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	policyFile, _, err := OpenPolicy(write("access", goodPolicy))
	check(t, err)
	keyFile, _, err := OpenKeyFile(write("keys", one.Reveal()))
	check(t, err)
	g, log := newGate(t, goodPolicy, one)
	var broken atomic.Bool
	var good, bad atomic.Int32
	var topics atomic.Value
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Watch(ctx, time.Millisecond, Sources{Policy: policyFile, Keys: keyFile,
			Changed: func(p *Policy) { topics.Store(p.Audiences[0].Topics[0]) },
			Reloaded: func(err error) {
				if err != nil {
					bad.Add(1)
				} else {
					good.Add(1)
				}
			},
			Enrolled: func(context.Context) ([]Grant, error) {
				if broken.Load() {
					return nil, errors.New("no such table")
				}
				return []Grant{{Key: ann, Identity: "ann", Audiences: []string{"orders"}, Expires: time.Now().Add(time.Hour)}}, nil
			}})
	}()
	defer func() { cancel(); <-done }()
	welcome := func(d Domain, k PublicKey) bool { _, v := g.Book().Admit(d, k); return v == Welcome }
	wait.Until(t, "ann is enrolled", func() bool { return welcome("audience/orders", ann) })
	broken.Store(true)
	log.until(t, "the enrolled keys cannot be read", "no such table")
	if !welcome("audience/orders", ann) {
		t.Error("a table that cannot be read ends a grant")
	}
	write("access", "audiences: x")
	log.until(t, "the new access file is not used")
	if !welcome("audience/orders", parseKey(t, keyA)) {
		t.Error("a file with faults ends a grant")
	}
	write("access", `audiences: [{name: orders, topics: [New/], endpoints: ["tcp://127.0.0.1:9"]}]`)
	log.until(t, "a new access file is in force", "audiences=1")
	log.until(t, "bound when the service starts", "audience=orders")
	wait.Until(t, "the topics have changed", func() bool { return topics.Load() == "New/" })
	if welcome("audience/orders", parseKey(t, keyA)) {
		t.Error("a grant outlives its file")
	}
	write("keys", "nonsense")
	log.until(t, "the new server keys are not used")
	if keys := g.ServerKeys(); len(keys) != 1 || keys[0] != one {
		t.Errorf("%v", keys)
	}
	write("keys", one.Reveal()+"\n"+two.Reveal()+"\n")
	log.until(t, "new server keys are in use", two.Public().String())
	if keys := g.ServerKeys(); len(keys) != 2 || keys[1] != two {
		t.Errorf("%v", keys)
	}
	if good.Load() < 2 || bad.Load() < 2 { // a file may be seen while it is being written
		t.Errorf("%d files that could be used, %d that could not", good.Load(), bad.Load())
	}
}
