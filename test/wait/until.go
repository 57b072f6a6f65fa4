// Package wait has tests wait for what will happen, instead of for time to pass.
package wait

import (
	"testing"
	"time"
)

const (
	// patience is how long what should come soon may take, on a busy machine too.
	patience = time.Minute
	// every is how often it is looked.
	every = 5 * time.Millisecond
)

// Until waits for something that will happen.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}
