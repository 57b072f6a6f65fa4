package enroll

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCommand_EndsWhenItIsToEnd: what a shell has started lives on when the shell
// is killed, and holds the pipe open.
func TestCommand_EndsWhenItIsToEnd(t *testing.T) {
	busy := filepath.Join(t.TempDir(), "busy")
	check(t, os.WriteFile(busy, nil, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := Command("while test -e " + busy + "; do sleep 0.1; done | cat")(ctx)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a token of nobody")
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

// TestEnroll_ASourceThatHangsIsGivenUp: it is asked again, as long as the grant lasts.
func TestEnroll_ASourceThatHangsIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := &Client{URL: "http://localhost:1", patience: time.Millisecond, Token: func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}}
	if _, err := c.Enroll(ctx); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
}
