package cloop

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestLoops_CountWhatIsSent: every socket gets all, frames arrive as they are.
func TestLoops_CountWhatIsSent(t *testing.T) {
	for _, n := range []int{1, 3} {
		frames := [][]byte{[]byte("Changes/INSERT/"), []byte("2026-11-20T09:54:00.123456000Z/x/0/0 e 1 {}"), []byte(strings.Repeat("x", 1000))}
		s, err := NewSender("tcp://127.0.0.1:*", 1, 0, frames, Keys{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReceiver(s.Endpoint(), n, []string{"Changes/", "Other/"}, Keys{})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 2)
		go func() { ended <- s.Run(2 * n) }()
		go func() { ended <- r.Run() }()
		deadline := time.After(time.Minute)
		tick := time.NewTicker(time.Millisecond)
		for r.Counts().Least < 1000 {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%d sockets: %+v", n, r.Counts())
			}
		}
		s.Stop()
		r.Stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		c := r.Counts()
		size := uint64(len(frames[0]) + len(frames[1]) + len(frames[2]))
		if c.Bytes != c.Messages*size || c.Messages > uint64(n)*s.Messages() {
			t.Errorf("%d sockets: %d messages of %d that were sent, %d bytes", n, c.Messages, s.Messages(), c.Bytes)
		}
		for i, f := range r.Sample() {
			if !bytes.Equal(f, frames[i]) {
				t.Errorf("frame %d is %q", i, f)
			}
		}
		r.Close()
		s.Close()
	}
}

// TestLoops_PaceAndStamp: at a rate, headers have the time at which they are sent.
func TestLoops_PaceAndStamp(t *testing.T) {
	frames := [][]byte{[]byte("Changes/INSERT/"), []byte("2026-11-20T09:54:00.123456000Z/x/0/0 e 1 {}"), []byte("x")}
	const rate = 20000
	s, err := NewSender("tcp://127.0.0.1:*", 1, rate, frames, Keys{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(s.Endpoint(), 1, []string{""}, Keys{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	began := time.Now()
	go func() { ended <- s.Run(1) }()
	go func() { ended <- r.Run() }()
	for r.Counts().Messages < rate/4 && time.Since(began) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	s.Stop()
	r.Stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	c := r.Counts()
	if c.Messages < rate/4 || took < time.Second/5 {
		t.Errorf("%d messages in %s", c.Messages, took)
	}
	late := uint64(0)
	for bucket, n := range c.Latency {
		if bucket >= 36*16 { // 69 s and more: the time that was there before
			late += n
		}
	}
	if late > 0 {
		t.Errorf("%d of %d messages do not say when they were sent", late, c.Messages)
	}
	r.Close()
	s.Close()
}
