//go:build !linux

package emulator

import "time"

// nap sleeps for less than a millisecond, if the system can.
func nap(d time.Duration) { time.Sleep(d) }
