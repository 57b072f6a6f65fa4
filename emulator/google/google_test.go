package google

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestStart_ListensAndEndsOnClose(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := Start(ctx, Options{PartitionLife: 2 * time.Second})
	if errors.Is(err, ErrNotFound) {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have it: %v", err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", s.Addr(), 5*time.Second)
	if err != nil {
		t.Fatalf("emulator says it listens on %s: %v", s.Addr(), err)
	}
	conn.Close()
	s.Close()
	if _, err := net.DialTimeout("tcp", s.Addr(), time.Second); err == nil {
		t.Fatal("still listening after Close")
	}
}

func TestFind_SaysHowToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(context.Background()); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
}
