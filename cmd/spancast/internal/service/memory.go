package service

import (
	"os"
	"runtime/debug"
)

// What the heap may have beside the buffer, and what it may have in any case, in
// bytes. Together with what is not of the heap, code and libzmq, that stays
// within 128 MiB beside the buffer.
const (
	besideBuffer = 32 << 20
	leastHeap    = 96 << 20
)

// LimitMemory is for a process that does nothing but serve. It tells the garbage
// collector what the buffer is: on its own it would let the heap grow to twice of
// what is in use. GOMEMLIMIT, if it is set, counts instead.
func LimitMemory(buffer int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(buffer+besideBuffer, leastHeap))
	}
}
