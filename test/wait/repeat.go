package wait

import "time"

// Repeat does something again and again, with a pause before each time, until
// stop is closed.
func Repeat(pause time.Duration, stop <-chan struct{}, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			do()
		}
	}
}
