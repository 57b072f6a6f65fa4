package emulator

import (
	"syscall"
	"time"
)

// nap sleeps for less than a millisecond. The timers of an idle Go program wait
// for whole ones, in which a load of some rate would come in clumps.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil) // one that a signal cuts short is made up for by the next
}
